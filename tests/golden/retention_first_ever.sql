-- retention {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "start": {"event": "login", "where": [{"property": "channel", "op": "eq", "value": "app_store"}]}, "return": {"event": ["buy", "login"]}, "periods": 1, "entry": "first_ever", "day_mode": "rolling_24h", "where": [{"property": "amount", "op": "gte", "value": 10}], "actor": {"property": "plan"}, "sample": 0.5}

-- the rows that are scanned
--   p0 = 'plan'
--   p1 = 'login'
--   p2 = 'app_store'
--   p3 = '10'
--   p4 = 'buy'
--   p5 = 'golden'
--   p6 = -2208988800000
--   p7 = 1791129600000
--   p8 = 500000
--   p9 = 1790784000000
SELECT if(mapContains(properties, {p0:String}), greatest(sipHash64(ifNull(if(mapContains(properties, {p0:String}), properties[{p0:String}], NULL), '')), 1), 0) AS actor,
    toUnixTimestamp64Milli(time) AS ms,
    CAST(bitOr(bitOr(if((event IN ({p1:String}) AND ifNull(`p_channel` = {p2:String}, 0)) AND
    ifNull(toDecimal256(`p_amount`, 30) >= toDecimal256({p3:String}, 30), 0), 1, 0), if((event IN ({p4:String}, {p1:String})) AND
    ifNull(toDecimal256(`p_amount`, 30) >= toDecimal256({p3:String}, 30), 0), 2, 0)), if(event IN ({p1:String}), 4, 0)), 'UInt8') AS mask
FROM events
WHERE project = {p5:String}
        AND time >= fromUnixTimestamp64Milli({p6:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p7:Int64}, 'UTC')
        AND event IN ({p4:String}, {p1:String})
        AND mapContains(properties, {p0:String})
        AND sipHash64(if(if(mapContains(properties, {p0:String}), greatest(sipHash64(ifNull(if(mapContains(properties, {p0:String}), properties[{p0:String}], NULL), '')), 1), 0) = 0, toUInt64(abs(toUnixTimestamp64Milli(time))), if(mapContains(properties, {p0:String}), greatest(sipHash64(ifNull(if(mapContains(properties, {p0:String}), properties[{p0:String}], NULL), '')), 1), 0))) % 1000000 < {p8:Int64}
        AND (time >= fromUnixTimestamp64Milli({p9:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p7:Int64}, 'UTC') OR event IN ({p1:String})) AND
    mask != 0;
