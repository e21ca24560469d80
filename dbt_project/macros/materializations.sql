{# dbt-duckdb makes a table beside the old one, swaps their names and drops the old one in a transaction of its own: four steps, each
   of which makes DuckLake read its catalog anew, where the old tables stay until their snapshots are forgotten. Here it is one
   transaction, and a table that keeps its columns is emptied and filled while it is not so large that this takes longer: readers
   see the old rows or the new ones. #}
{% macro replace_table(relation, existing) -%}
    {%- if existing is not none and existing.is_table and keeps_columns(existing) -%}
        {#- First the new rows: they may be made of the old ones, and what a transaction has deleted is gone for its reads of older
            snapshots too. -#}
        {%- set temporary = make_temp_relation(relation) -%}
        {%- do fill_in_slices(temporary, is_temporary=true) -%}
        {%- call statement('empty') -%} delete from {{ existing }} {%- endcall -%}
        {%- call statement('main') -%} insert into {{ relation }} by name select * from {{ temporary }} {%- endcall -%}
        {%- call statement('drop_temporary') -%} drop table {{ temporary }} {%- endcall -%}
    {%- else -%}
        {%- if existing is not none -%}
            {%- call statement('drop_former') -%} drop {{ existing.type }} if exists {{ existing }} {%- endcall -%}
        {%- endif -%}
        {%- do fill_in_slices(relation) -%}
        {%- do persist_docs(relation, model) -%}
    {%- endif -%}
{%- endmacro %}


{# Put a model's rows into a table, which is made unless it is there; of a model that names a slice, customers' slice by slice. #}
{% macro fill_in_slices(relation, is_temporary=false, is_there=false) -%}
    {%- set slices = count_slices() -%}
    {%- for slice in range(slices) -%}
        {%- set rows = model['compiled_code'] | replace(slice_condition(1, 0), slice_condition(slices, slice)) -%}
        {%- call statement('main') -%}
            {%- if loop.first and not is_there -%}
                {{ create_table_as(is_temporary, relation, rows) }}
            {%- else -%}
                insert into {{ relation }} by name (
                    {{ rows }}
                )
            {%- endif -%}
        {%- endcall -%}
    {%- endfor -%}
{%- endmacro %}


{# The condition that a row is of the customers that are worked on at a time. A model that would need the more memory the more
   customers there are asks for it of each table that it reads, and is filled in as many slices as DuckDB's limit demands. #}
{% macro in_slice(customer) -%}
    hash({{ customer }}) {{ slice_condition(1, 0) }}
{%- endmacro %}


{% macro slice_condition(slices, slice) -%}
    % {{ slices }} = {{ slice }}
{%- endmacro %}


{# An increment works on few customers, but for a new cut-off date on all of them. A model that holds more or less than all columns
   of their events says how much (`memory_share`). #}
{% macro count_slices() -%}
    {%- set is_small = is_increment() and not unbuilt_dates() -%}
    {%- if is_small or slice_condition(1, 0) not in model['compiled_code'] -%}
        {{ return(1) }}
    {%- endif -%}
    {%- set bytes = var('slice_event_bytes') ~ ' * ' ~ config.get('meta').get('memory_share', 1) -%}
    {%- set found = run_query(
        "select cast(ceil(count(*) * " ~ bytes ~ " / parse_formatted_bytes(current_setting('memory_limit'))) as bigint)"
        ~ " from " ~ target.database ~ ".raw.events"
    ) -%}
    {{ return([1, found.rows[0][0]] | max) }}
{%- endmacro %}


{# Whether a table has the columns that it would be made with, and few enough rows to be emptied. #}
{% macro keeps_columns(existing) -%}
    {#- duckdb_tables() tells sizes too, but reads the statistics of every table of the lake for it. -#}
    {%- if not is_increment() and run_query("select count(*) from " ~ existing).rows[0][0] > 1000000 -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(has_columns(existing)) }}
{%- endmacro %}


{# Whether a table has the columns that it would be made with: in an increment, since the code is what made it. #}
{% macro has_columns(existing) -%}
    {%- if is_increment() -%}
        {{ return(true) }}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(model['compiled_code']) -%}
    {%- endif -%}
    {%- set made = [] -%}
    {%- for column in get_column_schema_from_query(model['compiled_code']) -%}
        {%- do made.append(column.name | lower ~ ' ' ~ column.data_type) -%}
    {%- endfor -%}
    {%- set kept = [] -%}
    {%- for column in adapter.get_columns_in_relation(existing) -%}
        {%- do kept.append(column.name | lower ~ ' ' ~ column.data_type) -%}
    {%- endfor -%}
    {{ return(made | sort == kept | sort) }}
{%- endmacro %}


{% materialization table, adapter="duckdb" %}
    {%- set relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% do replace_table(relation, load_cached_relation(this)) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}


{# One statement, which replaces the view that is there. #}
{% materialization view, adapter="duckdb" %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set relation = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if existing is not none and not existing.is_view %}
        {% call statement('drop_former') %} drop {{ existing.type }} if exists {{ existing }} {% endcall %}
    {% endif %}
    {% call statement('main') -%}
        {{ get_create_view_as_sql(relation, sql) | replace('create view', 'create or replace view', 1) }}
    {%- endcall %}
    {% do persist_docs(relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}


{# The same of an incremental model that is replaced. Rows that are only added are put where they belong; else, and where columns
   have changed, a table is filled as dbt does it, from a temporary one. #}
{% materialization incremental, adapter="duckdb" %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set relation = this.incorporate(type='table') -%}
    {%- set strategy = config.get('incremental_strategy') or 'default' -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if existing is none or existing.is_view or should_full_refresh() %}
        {% do replace_table(relation, existing) %}
    {% elif strategy == 'append' and has_columns(existing) %}
        {% do fill_in_slices(relation, is_there=true) %}
    {% else %}
        {%- set temporary = make_temp_relation(relation) -%}
        {% do fill_in_slices(temporary, is_temporary=true) %}
        {% do adapter.expand_target_column_types(from_relation=temporary, to_relation=relation) %}
        {%- set on_change = incremental_validate_on_schema_change(config.get('on_schema_change'), default='ignore') -%}
        {%- set columns = process_schema_changes(on_change, temporary, existing) or adapter.get_columns_in_relation(existing) -%}
        {%- set write = adapter.get_incremental_strategy_macro(context, strategy) -%}
        {% call statement('main') -%}
            {{ write({
                'target_relation': relation,
                'temp_relation': temporary,
                'unique_key': config.get('unique_key'),
                'dest_columns': columns,
                'incremental_predicates': none,
            }) }}
        {%- endcall %}
    {% endif %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}
