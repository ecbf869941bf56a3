-- funnel {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "steps": [{"event": "register"}, {"event": "buy"}], "breakdown": {"properties": ["plan"], "attribution": "all_steps"}}

-- the rows of the ungrouped steps
--   p0 = ['register', 'buy']
--   p1 = [1, 2]
--   p3 = 'golden'
--   p4 = 1790784000000
--   p5 = 1790956800000
--   p6 = 'buy'
--   p7 = 'register'
SELECT actor, ms, mask
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        toUnixTimestamp64Milli(time) AS ms,
        CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask
    FROM events
    WHERE project = {p3:String}
        AND time >= fromUnixTimestamp64Milli({p4:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p5:Int64}, 'UTC')
        AND event IN ({p6:String}, {p7:String})
)
WHERE actor != 0;

-- the rows that are scanned
--   p0 = ['register', 'buy']
--   p1 = [1, 2]
--   p2 = 'plan'
--   p3 = 'golden'
--   p4 = 1790784000000
--   p5 = 1790956800000
--   p6 = 'buy'
--   p7 = 'register'
SELECT actor, ms, mask, value
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        toUnixTimestamp64Milli(time) AS ms,
        CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask,
        if(ifNull(concat('=', if(mapContains(properties, {p2:String}), properties[{p2:String}], NULL)), '') IN (''), 0, greatest(sipHash64(ifNull(concat('=', if(mapContains(properties, {p2:String}), properties[{p2:String}], NULL)), '')), 1)) AS value
    FROM events
    WHERE project = {p3:String}
        AND time >= fromUnixTimestamp64Milli({p4:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p5:Int64}, 'UTC')
        AND event IN ({p6:String}, {p7:String})
)
WHERE actor != 0;

-- the names of the breakdown's values
--   p2 = 'plan'
--   p3 = 'golden'
--   p4 = 1790784000000
--   p5 = 1790956800000
--   p6 = 'buy'
--   p7 = 'register'
SELECT value, any(text)
FROM (
    SELECT ifNull(concat('=', if(mapContains(properties, {p2:String}), properties[{p2:String}], NULL)), '') AS text, if(ifNull(concat('=', if(mapContains(properties, {p2:String}), properties[{p2:String}], NULL)), '') IN (''), 0, greatest(sipHash64(ifNull(concat('=', if(mapContains(properties, {p2:String}), properties[{p2:String}], NULL)), '')), 1)) AS value
    FROM events
    WHERE project = {p3:String}
        AND time >= fromUnixTimestamp64Milli({p4:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p5:Int64}, 'UTC')
        AND event IN ({p6:String}, {p7:String})
)
WHERE value != 0 GROUP BY value;
