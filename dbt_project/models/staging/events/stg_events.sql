with events as (
    {{ staged_events() }}
)

select * from events
