with listed as (
    {% for name, definition in metrics().items() -%}
        select
            '{{ name }}' as metric,
            {{ literals([definition.label]) }} as label,
            {{ literals([definition.description]) }} as description,
            '{{ definition.unit }}' as unit,
            '{{ definition.aggregation }}' as aggregation,
            {{ literals([definition.numerator] if definition.numerator else []) }} as numerator,
            {{ literals([definition.denominator] if definition.denominator else []) }} as denominator,
            {{ metric_decimals(definition.unit) }} as decimals,
            '{{ definition.good_direction }}' as good_direction,
            '{{ definition.owner }}' as owner
        {{ "union all" if not loop.last }}
    {% endfor %}
),

final as (
    select * from listed
)

select * from final
order by metric
