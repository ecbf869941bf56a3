-- funnel {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "steps": [{"event": "register"}, {"event": "buy", "where": [{"property": "amount", "op": "gte", "value": 100}]}, {"event": null}], "complete_after_range": true}

-- the rows that are scanned
--   p0 = 'buy'
--   p1 = '100'
--   p2 = ['register']
--   p3 = [1]
--   p4 = 'golden'
--   p5 = 1790784000000
--   p6 = 1792166400000
--   p7 = 'register'
SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(bitOr(bitOr(if((event IN ({p0:String}) AND ifNull(toDecimal256(`p_amount`, 30) >= toDecimal256({p1:String}, 30), 0)), toUInt64(2), 0), if((type = 'track'), toUInt64(4), 0)), transform(event, {p2:Array(String)}, {p3:Array(UInt64)}, toUInt64(0))), 'UInt8') AS mask
FROM events
WHERE project = {p4:String}
        AND time >= fromUnixTimestamp64Milli({p5:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p6:Int64}, 'UTC')
        AND (event IN ({p0:String}, {p7:String}) OR type = 'track') AND
    mask != 0;
