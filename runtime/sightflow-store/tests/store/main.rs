//! The conformance suite: every case runs on every backend, and after each the whole database is checked.

mod effects;
mod executions;
mod guards;
mod harness;
mod leases;
mod packages;
mod poison;
mod queue;
mod records;
mod registry;
mod retention;
mod retries;
mod sqlite;
mod submit;
mod tenants;
mod tokens;
mod workflows;

/// Makes a test of each case for each backend.
macro_rules! conformance {
    ($backend:ident, $type:ty: $($module:ident { $($case:ident),+ $(,)? })+) => {
        mod $backend {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let mut world = crate::harness::World::<$type>::new().await;
                    crate::$module::$case(&mut world).await;
                    world.check().await;
                })+
            })+
        }
    };
}

conformance!(on_sqlite, crate::sqlite::Sqlite:
    submit {
        one_key_twice_makes_one_execution, one_key_with_another_body_conflicts, an_expired_key_is_free, fifty_at_once_make_one,
        an_acknowledged_submit_survives_reopening, what_cannot_run_is_refused_whole, other_tenants_see_nothing, cursors_are_stable_under_inserts,
        filters_find_what_they_name,
    }
    workflows { versions_follow_content, stale_versions_are_refused, search_and_pages, deletion_respects_open_executions, keys_replay_creation, warnings_are_kept_with_the_version, counts_follow_the_definition }
    queue {
        enqueue_twice_adds_nothing, enqueue_needs_a_live_lease, loop_items_are_separate, claims_follow_rank_vt_id, two_claimers_share_nothing,
        the_pixel_budget_holds, capped_tenants_are_passed_over, an_urgent_late_arrival_is_found, a_claim_sets_everything,
        completion_is_one_commit, stale_completions_are_named, a_mixed_batch_records_what_is_valid, complete_and_claim_is_one_step,
        heads_name_each_model_once, lists_by_status, thousands_are_enqueued_at_once, ended_jobs_are_found_by_id,
    }
    retries {
        a_retry_waits_for_its_time, attempts_end, oom_in_a_batch_costs_nothing, oom_alone_costs_an_attempt, poison_fails_at_once,
        a_broken_model_holds_its_jobs, a_mended_model_frees_its_jobs,
        a_model_that_stays_broken_fails_them, release_keeps_attempt_and_token,
    }
    leases {
        silence_is_fifteen_seconds, overdue_jobs_have_their_own_code, rescue_is_bounded, gone_workers_are_told, late_results_are_stale,
        a_suspect_runs_alone, takeover_fences_the_old_engine, two_engines_one_takeover, ended_executions_are_not_taken_over,
        claims_that_have_not_begun_are_named, a_dead_process_is_taken_over_at_once, handed_back_executions_resume, time_runs_from_acceptance, a_crash_loop_ends, giving_up_again_and_again_ends, loading_costs_no_attempt,
        reports_without_a_beginning_count,
    }
    executions {
        cancel_reaches_every_state, cancel_twice, cancel_against_claim_and_complete, finish_is_one_commit, finish_ends_open_jobs,
        finish_after_cancel_is_refused, events_are_dense_under_appenders, large_events_come_in_small_pages, deletion_takes_everything, signals_follow_the_commit,
    }
    records { usage_outlives_what_used_it, records_take_the_place_of_former_ones, items_come_in_the_order_of_their_indexes, stale_leases_record_nothing, costs_add_up }
    retention {
        ended_executions_go_after_their_time, pruning_goes_by_pages, members_that_are_gone_are_forgotten, old_versions_go_unless_one_runs,
        a_run_refers_to_its_pictures_alone, admission_counts_exactly, commits_per_run,
    }
    packages {
        activation_and_rollback_are_one_step, a_version_s_bytes_never_change, other_tenants_have_no_packages,
        withdrawn_bytes_stay_while_a_run_needs_them, quotas_bound_packages_and_bytes, changes_are_told,
    }
    effects {
        what_has_an_answer_is_not_sent_again, what_may_have_arrived_is_repeated_only_if_it_may_be, secrets_are_a_tenant_s_own,
        grants_belong_to_the_package,
    }
    tokens { an_old_lease_of_an_execution_writes_nothing, an_old_lease_of_a_job_writes_nothing }
    tenants { tenants_have_a_slug_of_their_own, a_tenant_goes_with_everything_that_it_has, a_queue_quota_holds_for_fifty_at_once, a_key_works_until_it_is_revoked_or_expires, keys_are_listed_without_themselves }
    guards { terminal_rows_stay, tokens_never_shrink, raw_updates_move_updated_at, raw_updates_move_counters, oversized_events_are_refused }
    registry {
        models_are_found_own_first, replaced_weights_are_freed, blob_references_decide, deletion_looks_twice, bytes_that_were_deleted_meanwhile_are_refused,
        bytes_without_a_row_are_condemned, submit_against_the_collector, a_wrong_clock_is_survived, time_never_goes_back,
    }
);
