"""Which functions a query may call on DuckDB: an allow-list, so that what a later DuckDB adds is refused too.

Left out on purpose: what reads files (``read_csv``, ``glob``, ``sniff_csv`` ...), runs SQL text (``query``,
``query_table``, ``json_execute_serialized_sql``), shows settings, secrets, paths or other sessions
(``current_setting``, ``duckdb_settings``, ``which_secret``, ``duckdb_logs`` ...), or leaves something behind
(``nextval``, ``setseed``, ``write_log``, ``enable_logging``, ``add_grammar_extension`` ...). Collations are called by
``COLLATE``, not by name.
"""

import re

SCALAR_FUNCTIONS = frozenset(
    """
    + - * / // % ** ^ & | << >> ~ @ ! !__postfix || && = != < <= > >= <=> <-> <@ @> ^@ ->> -> + __between
    ~~ !~~ ~~* !~~* ~~~ like_escape not_like_escape ilike_escape not_ilike_escape
    abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp
    factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor isfinite isinf isnan lcm least
    least_common_multiple lgamma ln log log10 log2 mod multiply nextafter pi pow power radians random round round_even
    roundbankers sign signbit sin sinh sqrt subtract tan tanh trunc xor
    ascii base64 bar bin bit_length char_length character_length chr concat concat_ws contains damerau_levenshtein
    decode editdist3 encode ends_with format formatreadabledecimalsize formatreadablesize format_bytes from_base64
    from_binary from_hex hamming hash hex instr jaccard jaro_similarity jaro_winkler_similarity lcase left left_grapheme
    len length length_grapheme levenshtein lower lpad ltrim md5 mismatches nfc_normalize octet_length ord overlay
    position prefix printf regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
    regexp_replace regexp_split_to_array repeat replace reverse right right_grapheme rpad rtrim sha1 sha256 split
    split_part starts_with str_split str_split_regex string_split string_split_regex string_to_array strip_accents
    strlen strpos substr substring substring_grapheme suffix to_base to_base64 to_binary to_hex translate trim ucase
    unbin unhex unicode upper url_decode url_encode
    age ago century current_date current_localtime current_localtimestamp current_time current_timestamp date_add
    date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek
    dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour
    isodow isoyear julian last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns
    make_timestamptz microsecond millennium millisecond minute month monthname nanosecond normalized_interval now
    quarter second strftime strptime time_bucket timezone timezone_hour timezone_minute to_centuries to_days to_decades
    to_hours to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp
    to_weeks to_years today transaction_timestamp try_strptime week weekday weekofyear year yearweek
    alias coalesce constant_or_null error current_database current_schema current_user if ifnull nullif switch typeof
    pg_typeof gen_random_uuid uuid enum_code enum_first enum_last enum_range enum_range_boundary get_bit
    array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains array_distance
    array_distinct array_extract array_filter array_has array_has_all array_has_any array_indexof array_intersect
    array_length array_pop_back array_pop_front array_position array_prepend array_push_back array_push_front
    array_reduce array_resize array_reverse array_reverse_sort array_slice array_sort array_to_string array_transform
    array_unique array_value array_zip cardinality element_at filter flatten generate_series list_aggr list_aggregate
    list_any_value list_append list_apply list_avg list_cat list_concat list_contains list_count list_distinct
    list_element list_extract list_filter list_first list_has list_has_all list_has_any list_indexof list_intersect
    list_last list_max list_median list_min list_pack list_position list_prepend list_reduce list_resize list_reverse
    list_reverse_sort list_slice list_sort list_string_agg list_sum list_transform list_unique list_value list_zip range
    row map map_concat map_contains map_entries map_extract map_extract_value map_from_entries map_keys map_values
    struct_concat struct_contains struct_extract struct_extract_at struct_insert struct_keys struct_pack struct_update
    struct_values union_extract union_tag union_value unnest
    json json_array json_array_length json_exists json_extract json_extract_path json_extract_path_text
    json_extract_string json_group_array json_group_object json_keys json_merge_patch json_object json_quote
    json_structure json_type json_valid json_value row_to_json to_json
    any_value approx_count_distinct approx_quantile arbitrary arg_max arg_max_null arg_min arg_min_null argmax argmin
    array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop covar_samp
    entropy favg first fsum geomean geometric_mean group_concat histogram kahan_sum kurtosis kurtosis_pop last list
    listagg mad max max_by mean median min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp
    string_agg sum sum_no_overflow sumkahan var_pop var_samp variance wavg weighted_avg
    cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
    grouping grouping_id
    """.split()
)
TABLE_FUNCTIONS = frozenset("range generate_series unnest json_each json_tree pragma_table_info".split())

SHOWN_VIEWS = frozenset(
    """
    columns constraint_column_usage constraint_table_usage key_column_usage referential_constraints schemata
    table_constraints tables views duckdb_columns duckdb_constraints duckdb_tables duckdb_views
    sqlite_master sqlite_schema
    """.split()
)
"""DuckDB's own views that describe a schema, those of information_schema among them; its others are refused."""

SIZED_BY_ARGUMENTS = frozenset("lpad rpad repeat list_resize array_resize range generate_series".split())
"""One call can make gigabytes, past the memory limit and deaf to an interrupt: its numbers must be written out."""
LARGEST_SIZE = 1_000
FORMATTING_FUNCTIONS = frozenset(("format", "printf"))
"""As above, by the width in the format: it must be written out too."""
_LARGE_WIDTH = re.compile(r"\d{4,}|\*|\{[^}]*\{")


def has_bounded_size(name: str, constants: list[str | None]) -> bool:
    """False for a call of a function whose arguments say how large its value is, unless they are written out and small.

    Args:
        constants: the text of each argument that is written out, None for one that is computed.
    """
    if name in FORMATTING_FUNCTIONS:
        return bool(constants) and constants[0] is not None and not _LARGE_WIDTH.search(constants[0])
    if name not in SIZED_BY_ARGUMENTS:
        return True
    sizes = constants[1:2] if name not in ("range", "generate_series") else constants
    return all(size is not None and size.lstrip("-").isdigit() and int(size) <= LARGEST_SIZE for size in sizes)
