with cutoffs as (
    {{ cutoff_dates() }}
),

view_days as (
    {{ due_rows(ref('int_customer_view_days')) }}
),

known as (
    select
        view_days.customer_id,
        cutoffs.as_of_date,
        view_days.category,
        sum(
            case
                when {{ days_between('view_days.event_date', 'cutoffs.as_of_date') }} < 30 then view_days.view_seconds
                else 0
            end
        ) as view_seconds,
        sum(view_days.count_list_views) as count_list_views,
        sum(view_days.count_followed_list_views) as count_followed_list_views
    from cutoffs
    inner join view_days
        on
            cutoffs.as_of_date >= view_days.event_date
            and cutoffs.as_of_date >= view_days.known_date
            and (view_days.is_due or not cutoffs.is_built)
            and {{ days_between('view_days.event_date', 'cutoffs.as_of_date') }} < 90
    group by view_days.customer_id, cutoffs.as_of_date, view_days.category
),

final as (
    select
        customer_id,
        as_of_date,
        cast(sum(view_seconds) as bigint) as view_seconds_30d,
        arg_min(category, row(-view_seconds, category)) filter (where category != '' and view_seconds > 0)
            as top_category_by_time_30d,
        cast(coalesce(max(view_seconds) filter (where category != ''), 0) as bigint)
            as top_category_by_time_seconds_30d,
        {{ rate(
            "max(view_seconds) filter (where category != '')", "sum(view_seconds) filter (where category != '')"
        ) }} as top_category_by_time_share_30d,
        {{ rate('sum(count_followed_list_views)', 'sum(count_list_views)') }} as list_to_view_rate_90d
    from known
    group by customer_id, as_of_date
)

select * from final
