-- retention {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "start": {"event": "login"}, "return": {"event": "buy"}, "periods": 2}

-- the rows that are scanned
--   p0 = ['login', 'buy']
--   p1 = [1, 2]
--   p2 = 'golden'
--   p3 = 1790784000000
--   p4 = 1791129600000
--   p5 = 'buy'
--   p6 = 'login'
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(transform(event, {p0:Array(String)}, {p1:Array(UInt64)}, toUInt64(0)), 'UInt8') AS mask
FROM events
WHERE project = {p2:String}
        AND time >= fromUnixTimestamp64Milli({p3:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p4:Int64}, 'UTC')
        AND event IN ({p5:String}, {p6:String});
