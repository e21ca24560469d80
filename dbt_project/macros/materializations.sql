{# dbt-duckdb makes a table beside the old one, swaps their names and drops the old one in a transaction of its own: four steps, each
   of which makes DuckLake read its catalog anew, where the old tables stay until their snapshots are forgotten. Here it is one
   transaction, and a table that keeps its columns is emptied and filled while it is not so large that this takes longer: readers
   see the old rows or the new ones. #}
{% macro replace_table(relation, existing) -%}
    {%- if existing is not none and existing.is_table and keeps_columns(existing) -%}
        {#- First the new rows: they may be made of the old ones, and what a transaction has deleted is gone for its reads of older
            snapshots too. -#}
        {%- set temporary = make_temp_relation(relation) -%}
        {%- do create_in_slices(True, temporary) -%}
        {%- call statement('empty') -%} delete from {{ existing }} {%- endcall -%}
        {%- call statement('main') -%} insert into {{ relation }} by name select * from {{ temporary }} {%- endcall -%}
        {%- call statement('drop_temporary') -%} drop table {{ temporary }} {%- endcall -%}
    {%- else -%}
        {%- if existing is not none -%}
            {%- call statement('drop_former') -%} drop {{ existing.type }} if exists {{ existing }} {%- endcall -%}
        {%- endif -%}
        {%- do create_in_slices(False, relation) -%}
        {%- do persist_docs(relation, model) -%}
    {%- endif -%}
{%- endmacro %}


{# Make a table of a model's rows; of a model that names a slice, customers' slice by slice. #}
{% macro create_in_slices(is_temporary, relation) -%}
    {%- set slices = count_slices() -%}
    {%- for slice in range(slices) -%}
        {%- set rows = model['compiled_code'] | replace(slice_condition(1, 0), slice_condition(slices, slice)) -%}
        {%- call statement('main') -%}
            {%- if loop.first -%}
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


{# An increment works on few customers, but for a new cut-off date on all of them. #}
{% macro count_slices() -%}
    {%- set is_small = is_increment() and not unbuilt_dates() -%}
    {%- if is_small or slice_condition(1, 0) not in model['compiled_code'] -%}
        {{ return(1) }}
    {%- endif -%}
    {%- set found = run_query(
        "select cast(ceil(count(*) * " ~ var('slice_event_bytes') ~ " / parse_formatted_bytes(current_setting('memory_limit')))"
        ~ " as bigint) from " ~ target.database ~ ".raw.events"
    ) -%}
    {{ return([1, found.rows[0][0]] | max) }}
{%- endmacro %}


{# Whether a table has the columns that it would be made with, and few enough rows to be emptied. #}
{% macro keeps_columns(existing) -%}
    {#- duckdb_tables() tells sizes too, but reads the statistics of every table of the lake for it. -#}
    {%- if not is_increment() and run_query("select count(*) from " ~ existing).rows[0][0] > 1000000 -%}
        {{ return(false) }}
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


{# The same of an incremental model that is replaced; one that is not is filled as dbt does, from a temporary table. #}
{% materialization incremental, adapter="duckdb" %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set relation = this.incorporate(type='table') -%}
    {%- set strategy = config.get('incremental_strategy') or 'default' -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% if existing is none or existing.is_view or should_full_refresh() %}
        {% do replace_table(relation, existing) %}
    {% else %}
        {%- set temporary = make_temp_relation(relation) -%}
        {% do create_in_slices(True, temporary) %}
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
