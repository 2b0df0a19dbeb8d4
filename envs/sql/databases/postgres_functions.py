"""Which functions and catalogues a reader's role may use on PostgreSQL: allow-lists, which the server itself enforces.

Beside these names the functions behind the built-in operators, casts and indexes are allowed (there are some 1,500).

Left out on purpose: what touches files (``pg_read_file``, ``lo_import``, ``pg_ls_dir`` ...), runs SQL text
(``query_to_xml``, ``ts_stat``, ``ts_rewrite`` ...), changes or shows settings (``set_config`` would lift the time
limit), reaches other sessions (``pg_terminate_backend``, ``pg_advisory_lock``, ``pg_notify`` ...), leaves something
behind (``nextval``, ``setseed``, ``lo_create`` ...) or says where the server runs. Also what makes a value of any size
in one step that nothing interrupts (``repeat``, ``lpad``, ``format``, ``array_fill``): the server knows no limit for
one value but its own, 1 GB.
"""

FUNCTIONS = frozenset(
    """
    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd degrees
    div exp factorial floor gcd lcm ln log log10 min_scale mod pi pow power radians random round scale sign sin sind
    sinh sqrt tan tand tanh trim_scale trunc width_bucket
    ascii bit_count bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode
    encode get_bit get_byte initcap left length like like_escape lower ltrim md5 normalize is_normalized
    notlike octet_length overlay position quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr replace reverse
    right rtrim set_bit set_byte sha224 sha256 sha384 sha512 similar_escape similar_to_escape split_part
    starts_with string_to_array string_to_table strpos substr substring to_ascii to_hex translate unistr upper
    age clock_timestamp date_bin date_part date_trunc extract isfinite justify_days justify_hours justify_interval
    make_date make_interval make_time make_timestamp make_timestamptz now overlaps statement_timestamp timeofday
    timezone to_timestamp transaction_timestamp
    to_char to_date to_number
    num_nonnulls num_nulls pg_typeof gen_random_uuid enum_first enum_last enum_range
    array_agg array_dims array_length array_lower array_ndims array_position array_positions array_remove
    array_replace array_to_json array_to_string array_upper cardinality generate_series generate_subscripts trim_array
    unnest
    json_agg json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
    json_each_text json_object json_object_agg json_object_keys json_populate_record json_populate_recordset
    json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
    jsonb_path_query_array jsonb_path_query_first jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set
    jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb
    any_value avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every max min mode
    percentile_cont percentile_disc range_agg regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
    regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
    daterange int4range int8range isempty lower_inc lower_inf numrange range_merge tsrange tstzrange upper_inc upper_inf
    area box center circle diameter height isclosed isopen npoints path pclose point polygon popen radius slope width
    plainto_tsquery phraseto_tsquery to_tsquery to_tsvector ts_rank ts_rank_cd websearch_to_tsquery
    aclexplode acldefault col_description current_database current_schema current_schemas current_user format_type
    getdatabaseencoding has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege
    has_schema_privilege has_sequence_privilege has_server_privilege has_foreign_data_wrapper_privilege
    has_table_privilege has_type_privilege int4out nameconcatoid namein obj_description pg_column_is_updatable
    pg_encoding_max_length pg_encoding_to_char pg_get_constraintdef pg_get_expr pg_get_function_arg_default
    pg_get_indexdef pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_is_other_temp_schema
    pg_my_temp_schema pg_options_to_table pg_relation_is_updatable pg_sequence_parameters pg_table_is_visible
    session_user
    """.split()
)

CATALOGUES = frozenset(
    """
    pg_aggregate pg_am pg_amproc pg_attrdef pg_attribute pg_auth_members pg_cast pg_class pg_collation pg_constraint
    pg_database pg_description pg_enum pg_index pg_indexes pg_inherits pg_language pg_matviews pg_namespace
    pg_operator pg_proc pg_range pg_rewrite pg_roles pg_tables pg_type pg_views
    """.split()
)
"""Tables and views of the schema pg_catalog that may be read; of them pg_database and pg_roles, which
information_schema needs, name more than this database has."""
