-- trends {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "interval": "total", "series": [{"event": "buy"}], "where": [{"any": [{"property": "age", "op": "gt", "value": 18}, {"property": "plan", "op": "ne", "value": "gold"}]}, {"property": "city", "of": "user", "op": "starts_with", "value": "X"}, {"not": {"property": "amount", "op": "between", "value": [0, 0.5]}}]}

-- buy: the values
--   p0 = 'golden'
--   p1 = 1790784000000
--   p2 = 1790956800000
--   p3 = 'buy'
--   p4 = 'age'
--   p5 = '18'
--   p6 = Decimal('18.0')
--   p7 = 'plan'
--   p8 = 'gold'
--   p9 = 'city'
--   p10 = 'X'
--   p11 = '0'
--   p12 = '0.5'
SELECT 1 AS is_total, toInt64(0) AS bucket, '' AS key, count()
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor
    FROM events
    WHERE project = {p0:String}
        AND time >= fromUnixTimestamp64Milli({p1:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p2:Int64}, 'UTC')
        AND event IN ({p3:String})
        AND ((ifNull(if(isNull(toDecimal256OrNull(properties[{p4:String}], 30)), if(isFinite(toFloat64OrNull(properties[{p4:String}])), toFloat64OrNull(properties[{p4:String}]), NULL) > {p6:Float64}, toDecimal256OrNull(properties[{p4:String}], 30) > toDecimal256({p5:String}, 30)), 0) OR NOT (ifNull(properties[{p7:String}] = {p8:String}, 0))) AND dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) IN (SELECT user_key FROM (
    SELECT user_key, argMax(properties, version) AS profile, argMax(deleted, version) AS is_deleted
    FROM profiles WHERE project = {p0:String} GROUP BY user_key
) WHERE NOT is_deleted AND ifNull(startsWith(profile[{p9:String}], {p10:String}), 0)) AND NOT (ifNull((toDecimal256(`p_amount`, 30) >= toDecimal256({p11:String}, 30) AND toDecimal256(`p_amount`, 30) <= toDecimal256({p12:String}, 30)), 0)))
)
GROUP BY GROUPING SETS (());
