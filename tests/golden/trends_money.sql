-- trends {"range": {"from": "2026-10-01", "to": "2026-10-02"}, "interval": "total", "series": [{"event": "buy", "measure": {"sum": "amount"}}, {"event": "buy", "measure": {"p90": "age"}}, {"event": "buy", "measure": {"distinct": "plan"}}]}

-- buy: the values
--   p0 = 'golden'
--   p1 = 1790784000000
--   p2 = 1790956800000
--   p3 = 'buy'
SELECT 1 AS is_total, toInt64(0) AS bucket, '' AS key, sumIf(exact, 1), sumIf(double, 1), countIf(isNull(exact) AND isNotNull(double) AND 1)
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        toDecimal256(`p_amount`, 30) AS exact,
        toFloat64(`p_amount`) AS double
    FROM events
    WHERE project = {p0:String}
        AND time >= fromUnixTimestamp64Milli({p1:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p2:Int64}, 'UTC')
        AND event IN ({p3:String})
)
GROUP BY GROUPING SETS (());

-- buy: the values
--   p0 = 'age'
--   p1 = 'golden'
--   p2 = 1790784000000
--   p3 = 1790956800000
--   p4 = 'buy'
SELECT 1 AS is_total, toInt64(0) AS bucket, '' AS key, arraySort(groupArrayIf(assumeNotNull(exact), isNotNull(exact)))[intDiv((toInt64(count(exact)) - 1) * 90, 100) + 1], arraySort(groupArrayIf(assumeNotNull(exact), isNotNull(exact)))[least(intDiv((toInt64(count(exact)) - 1) * 90, 100) + 2, count(exact))], ((toInt64(count(exact)) - 1) * 90) % 100, quantileExactInclusiveIf(0.9)(double, isNotNull(double)), countIf(isNull(exact) AND isNotNull(double))
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        toDecimal256OrNull(properties[{p0:String}], 30) AS exact,
        if(isFinite(toFloat64OrNull(properties[{p0:String}])), toFloat64OrNull(properties[{p0:String}]), NULL) AS double
    FROM events
    WHERE project = {p1:String}
        AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
        AND event IN ({p4:String})
)
GROUP BY GROUPING SETS (());

-- buy: the values
--   p0 = 'plan'
--   p1 = 'golden'
--   p2 = 1790784000000
--   p3 = 1790956800000
--   p4 = 'buy'
SELECT 1 AS is_total, toInt64(0) AS bucket, '' AS key, uniqExactIf(canonical, isNotNull(canonical))
FROM (
    SELECT dictGetOrDefault('overrides_map', 'user_key', if(alias_key = 0, user_key, alias_key), user_key) AS actor,
        if(mapContains(properties, {p0:String}), properties[{p0:String}], NULL) AS canonical
    FROM events
    WHERE project = {p1:String}
        AND time >= fromUnixTimestamp64Milli({p2:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({p3:Int64}, 'UTC')
        AND event IN ({p4:String})
)
GROUP BY GROUPING SETS (());
