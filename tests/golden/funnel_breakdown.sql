-- funnel {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "steps": [{"event": "register"}, {"event": "buy"}], "breakdown": ["channel", {"property": "city", "of": "user"}]}

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
SELECT DISTINCT ifNull(concat('=', `p_channel`), '') AS text
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
--   p7 = ''
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask,
    if(ifNull(concat('=', `p_channel`), '') IN ({p7:String}), 0, greatest(sipHash64(ifNull(concat('=', `p_channel`), '')), 1)) AS value
FROM events
WHERE project = {p2:String}
        AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC')
        AND event IN ({p5:String}, {p6:String});

-- the breakdown's values of users
--   p2 = 'golden'
--   p7 = ''
--   p8 = 'city'
SELECT user_key, value FROM (SELECT user_key, ifNull(concat('=', if(mapContains(profile, {p8:String}), profile[{p8:String}], NULL)), '') AS text, if(text = {p7:String}, 0, greatest(sipHash64(text), 1)) AS value FROM (
    SELECT user_key, argMax(properties, version) AS profile, argMax(deleted, version) AS is_deleted
    FROM profiles WHERE project = {p2:String} GROUP BY user_key
) WHERE NOT is_deleted);
