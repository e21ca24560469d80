{# Builds that recompute only what has changed. The caller (jobs/pipeline/increments.py) says since when: without
   `since_snapshot` every table is replaced, as with --full-refresh. #}
{% macro is_increment() -%}
    {{ return(not flags.FULL_REFRESH and var('since_snapshot') is not none) }}
{%- endmacro %}


{# dbt's own macro of this name: whether an incremental model is replaced. Models that keep history say `full_refresh=false`. #}
{% macro should_full_refresh() -%}
    {%- set configured = config.get('full_refresh') -%}
    {{ return(configured if configured is not none else not is_increment()) }}
{%- endmacro %}


{# Before an increment: take away the rows that it makes anew. #}
{% macro forget_touched(column) -%}
    {%- set keys = touched_keys() -%}
    {%- if execute and is_increment() -%}
        {%- if load_relation(this) is none -%}
            {{ exceptions.raise_compiler_error(this ~ " is not there: build with --full-refresh") }}
        {%- endif -%}
        delete from {{ this }} where {{ column }} in ({{ keys }})
    {%- endif -%}
{%- endmacro %}


{# The keys whose rows an increment makes anew. #}
{% macro touched_keys() -%}
    {%- if not execute or is_increment() -%}
        select touched_key from {{ ref('int_touched') }}
    {%- endif -%}
{%- endmacro %}


{# The condition that a row is one which an increment makes anew; true in a full build. #}
{% macro is_touched(column) -%}
    {%- set keys = touched_keys() -%}
    {%- if is_increment() -%} {{ column }} in ({{ keys }}) {%- else -%} true {%- endif -%}
{%- endmacro %}


{# The condition that a row of one of these models is one that this build has made; true in a full build. DuckLake knows of each row
   in which snapshot it came, and need not look at the others: a table of touched customers' rows is read as quickly as it grew. #}
{% macro is_made_now() -%}
    {%- if is_increment() -%} snapshot_id > {{ var('until_snapshot') }} {%- else -%} true {%- endif -%}
{%- endmacro %}


{# The same of a table of which it makes every row. #}
{% macro forget_all() -%}
    {%- if execute and is_increment() -%} delete from {{ this }} {%- endif -%}
{%- endmacro %}


{# Customers of whom nothing was told change from day to day. Tables that tell of a day are made anew with it; within the day an
   increment makes the rows of touched customers. Before it: take away the rows that it makes anew. #}
{% macro forget_day(column) -%}
    {%- if var('is_same_day') or not execute -%}
        {{ forget_touched(column) }}
    {%- else -%}
        {{ forget_all() }}
    {%- endif -%}
{%- endmacro %}


{# The conditions that a row is of somebody whose row of such a table is made anew: by the key, and of tables of touched customers. #}
{% macro is_due_today(column) -%}
    {{ is_touched(column) if var('is_same_day') or not execute else 'true' }}
{%- endmacro %}


{% macro is_made_today() -%}
    {{ is_made_now() if var('is_same_day') else 'true' }}
{%- endmacro %}


{# dbt's own macro of this name: what a data test reads of a table. What an increment has not made was tested when it was made. #}
{% macro get_where_subquery(relation) -%}
    {%- set condition = config.get('where') -%}
    {%- if execute and is_increment() and not relation.is_cte and (load_cached_relation(relation) or {}).is_table -%}
        {%- set condition = is_made_now() ~ (' and (' ~ condition ~ ')' if condition else '') -%}
    {%- endif -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ condition ~ ') as tested' if condition else relation) }}
{%- endmacro %}


{# The trackers' events that a build works on: all, or in an increment those of the touched actors. #}
{% macro tracked_events() -%}
    {%- if not execute -%}
        {%- do ref('int_touched_events') -%}
    {%- endif -%}
    {{ ref('int_touched_events') if execute and is_increment() else ref('stg_events') }}
{%- endmacro %}


{# Whose a record is: the actor's; without one the order's, or everybody's. #}
{% macro actor_key(actor_id, order_id='order_id') -%}
    coalesce({{ actor_id }}, {{ order_key(order_id) }}, 'nobody')
{%- endmacro %}


{# An order among the keys that records tell. #}
{% macro order_key(order_id) -%}
    'order ' || {{ order_id }}
{%- endmacro %}


{# What a table of this project held when the last build had ended. #}
{% macro formerly(schema, table) -%}
    {{ target.database }}.{{ schema }}.{{ table }} at (version => {{ var('built_snapshot') }})
{%- endmacro %}


{# The rows, of those for which a condition holds, that one of two relations has and the other has not. #}
{% macro differing_rows(one, other, columns, condition) -%}
    {%- for left, right in [(one, other), (other, one)] -%}
        (
            select {{ columns | join(', ') }} from {{ left }} where {{ condition }}
            except
            select {{ columns | join(', ') }} from {{ right }} where {{ condition }}
        )
        {{ "union all" if not loop.last }}
    {% endfor -%}
{%- endmacro %}


{# The rows that came into a table of Python's, or went, since the last build began. #}
{% macro changed_rows(schema, table, columns) -%}
    {%- set span = var('since_snapshot') ~ ', ' ~ var('until_snapshot') -%}
    select {{ columns }}
    from ducklake_table_insertions('{{ target.database }}', '{{ schema }}', '{{ table }}', {{ span }})
    union all
    select {{ columns }}
    from ducklake_table_deletions('{{ target.database }}', '{{ schema }}', '{{ table }}', {{ span }})
{%- endmacro %}


{# The instant of the last build. #}
{% macro since_as_of() -%}
    cast('{{ var("since_as_of") }}' as timestamp with time zone)
{%- endmacro %}


{# Items that the catalogue described in full when the last build ended, and no longer does. #}
{% macro no_longer_described() -%}
    select item_id from {{ formerly('intermediate', 'int_described_items') }} where is_complete
    except
    select item_id from {{ ref('int_described_items') }} where is_complete
{%- endmacro %}


{# The conditions on records that int_item_sightings is made of: of changed files, and all of an item that is no longer described.
   One after the other, since files can be skipped by the first, and there seldom are any of the second. #}
{% macro sighted_anew() -%}
    {%- if not is_increment() -%}
        {{ return(['true']) }}
    {%- endif -%}
    {%- set changed = "(select file_id from " ~ ref('int_changed_records') ~ ")" -%}
    {{ return([
        "file_id in " ~ changed,
        "item_id in (" ~ no_longer_described() ~ ") and file_id not in " ~ changed,
    ]) }}
{%- endmacro %}


{# Before an increment of int_item_sightings: its rows of changed files, and of items that need none or need them all. #}
{% macro forget_sightings() -%}
    {%- if not execute -%}
        {%- do ref('int_described_items') -%}
        {%- do ref('int_changed_records') -%}
    {%- elif is_increment() -%}
        delete from {{ this }}
        where
            file_id in (select file_id from {{ ref('int_changed_records') }})
            or item_id in (select item_id from {{ ref('int_described_items') }} where is_complete)
            or item_id in ({{ no_longer_described() }})
    {%- endif -%}
{%- endmacro %}


{# The rows of a table of customers for sums over all of them, with `sign`: in an increment those that touched customers have now,
   and those that they had when the last build ended, to be taken away. #}
{% macro signed_rows(model, schema) -%}
    select
        *,
        1 as sign
    from {{ ref(model) }}
    where {{ is_made_now() }}
    {% if is_increment() -%}
        union all
        select
            *,
            -1 as sign
        from {{ formerly(schema, model) }}
        where {{ is_touched('customer_id') }}
    {%- endif %}
{%- endmacro %}


{# Before an increment: take away the rows of files that have changed. #}
{% macro forget_changed_files() -%}
    {%- if not execute -%}
        {%- do ref('int_changed_records') -%}
    {%- elif is_increment() -%}
        delete from {{ this }} where file_id in (select file_id from {{ ref('int_changed_records') }})
    {%- endif -%}
{%- endmacro %}


{# The condition that a row is of such a file; true in a full build. #}
{% macro is_of_changed_file() -%}
    {%- if not execute -%}
        {%- do ref('int_changed_records') -%}
    {%- endif -%}
    {%- if is_increment() -%} file_id in (select file_id from {{ ref('int_changed_records') }}) {%- else -%} true {%- endif -%}
{%- endmacro %}


{# The cut-off dates of this run of whose untouched customers the features stand already. #}
{% macro built_dates() -%}
    {{ return(var('built_dates') if is_increment() else []) }}
{%- endmacro %}


{# Those whose features are computed for all customers. #}
{% macro unbuilt_dates() -%}
    {%- set unbuilt = [] -%}
    {%- for day in var('cutoff_dates') if day not in built_dates() -%}
        {%- do unbuilt.append(day) -%}
    {%- endfor -%}
    {{ return(unbuilt) }}
{%- endmacro %}


{# The rows of a table of customers that features are computed from, customers' slice by slice. `is_due`: for every cut-off, not
   only for those that are not built; join with `is_due or not is_built`. #}
{% macro due_rows(relation) -%}
    select
        *,
        {{ is_made_now() if unbuilt_dates() else 'true' }} as is_due
    from {{ relation }}
    where {{ in_slice('customer_id') }} {{ '' if unbuilt_dates() else 'and ' ~ is_made_now() }}
{%- endmacro %}


{# Numbers for the customers of a relation, in the order of their ids. What is grouped and sorted several times is so by number in
   half of the time. #}
{% macro numbered_customers(relation) -%}
    select
        customer_id,
        row_number() over (order by customer_id) as customer_number
    from {{ relation }}
    group by customer_id
{%- endmacro %}


{# Before features of some dates are made: take away those that are made anew. #}
{% macro forget_features(keep_other_dates=true) -%}
    {%- set keys = touched_keys() -%}
    {%- if execute and load_relation(this) is not none -%}
        {%- set forgotten = [] -%}
        {%- if unbuilt_dates() -%}
            {%- do forgotten.append('as_of_date in (' ~ date_literals(unbuilt_dates()) ~ ')') -%}
        {%- endif -%}
        {%- if not keep_other_dates -%}
            {%- do forgotten.append('as_of_date not in (' ~ date_literals(var('cutoff_dates')) ~ ')') -%}
        {%- endif -%}
        {%- if built_dates() -%}
            {%- do forgotten.append(
                '(as_of_date in (' ~ date_literals(built_dates()) ~ ') and customer_id in (' ~ keys ~ '))'
            ) -%}
        {%- endif -%}
        delete from {{ this }} where {{ forgotten | join(' or ') or 'false' }}
    {%- endif -%}
{%- endmacro %}


{# Before rows of all customers are made for the run's dates, whatever an increment has of them. #}
{% macro forget_cutoff_dates() -%}
    {%- if execute and load_relation(this) is not none -%}
        delete from {{ this }} where as_of_date in ({{ date_literals(var('cutoff_dates')) }})
    {%- endif -%}
{%- endmacro %}


{# Let a query's joins be made as written, each from the table on its right: DuckDB expects too little of long chains of them, and
   would keep the events in memory instead of what they are joined to. #}
{% macro join_as_written() -%}
    set disabled_optimizers = 'join_order,build_side_probe_side'
{%- endmacro %}


{% macro join_freely() -%}
    set disabled_optimizers = ''
{%- endmacro %}


{# Write down that a build has begun: after one that did not end, or that somebody started by hand, the next is a full one. #}
{% macro note_beginning() -%}
    {%- if execute and flags.WHICH in ('build', 'run', 'seed', 'snapshot') and var('stage') != 'build_marts' -%}
        {%- do run_query("create schema if not exists " ~ target.database ~ ".intermediate") -%}
        {%- do run_query(
            "create or replace table " ~ target.database ~ ".intermediate.begun_build as select '" ~ var('build_id') ~ "' as build_id"
        ) -%}
    {%- endif -%}
{%- endmacro %}
