-- funnel {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "steps": [{"event": "register"}, {"event": "bind_card"}, {"event": ["buy", "register"]}]}

-- the rows that are scanned
--   p0 = ['register', 'bind_card', 'buy']
--   p1 = [5, 2, 4]
--   p2 = 'golden'
--   p3 = 1790784000000
--   p4 = 1790956800000
--   p5 = 'bind_card'
--   p6 = 'buy'
--   p7 = 'register'
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask
FROM events
WHERE project = {p2:String}
        AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC')
        AND event IN ({p5:String}, {p6:String}, {p7:String});
