-- funnel {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "steps": [{"event": "register"}, {"event": "buy"}], "breakdown": {"properties": ["plan"], "attribution": "all_steps"}}

-- the rows that are scanned
--   p0 = ['register', 'buy']
--   p1 = [1, 2]
--   p2 = 'golden'
--   p3 = 1790784000000
--   p4 = 1790956800000
--   p5 = 'buy'
--   p6 = 'register'
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask
FROM events
WHERE project = {p2:String}
        AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC')
        AND event IN ({p5:String}, {p6:String});

-- the breakdown's values
--   p2 = 'golden'
--   p3 = 1790784000000
--   p4 = 1790956800000
--   p5 = 'buy'
--   p6 = 'register'
--   p7 = 'plan'
SELECT DISTINCT ifNull(concat('=', if(mapContains(properties, {p7:String}), properties[{p7:String}], NULL)), '') AS text
FROM events
WHERE project = {p2:String}
        AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC')
        AND event IN ({p5:String}, {p6:String})
LIMIT 5001;

-- the rows with their value; few values come as codes
--   p0 = ['register', 'buy']
--   p1 = [1, 2]
--   p2 = 'golden'
--   p3 = 1790784000000
--   p4 = 1790956800000
--   p5 = 'buy'
--   p6 = 'register'
--   p7 = 'plan'
--   p8 = ''
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask,
    if(ifNull(concat('=', if(mapContains(properties, {p7:String}), properties[{p7:String}], NULL)), '') IN ({p8:String}), 0, greatest(sipHash64(ifNull(concat('=', if(mapContains(properties, {p7:String}), properties[{p7:String}], NULL)), '')), 1)) AS value
FROM events
WHERE project = {p2:String}
        AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC')
        AND event IN ({p5:String}, {p6:String});
