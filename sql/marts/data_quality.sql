with checks as (
    select *
    from (
        values
            ('completed_but_not_started', 'warning',
                'Move work through an in-progress status; without one there is no cycle time.'),
            ('status_changes_after_done', 'info',
                'Look whether it was done when it was moved to done: the last completion counts.'),
            ('backwards_through_status', 'info',
                'Flag or split what does not go on instead of moving it back; times in columns add up.'),
            ('backwards_through_status_categories', 'warning',
                'Flag or split what does not go on instead of moving it back; the time until it goes on counts.'),
            ('not_visible_on_board', 'error',
                'Map the status to a column of the board: what it does not show is in no commitment.'),
            ('created_in_wrong_status', 'info',
                'Create issues in a status that is not started: what came before is not known.'),
            ('stopped_before_started', 'warning',
                'Correct the statuses: it was done before work began, so that times make no sense.'),
            ('not_started_but_subtasks_have', 'warning',
                'Start the issue with its first sub-task: its cycle time begins too late.'),
            ('incomplete_subtasks_when_done', 'warning',
                'Finish or delete the sub-tasks, or re-open the issue.'),
            ('issue_on_multiple_boards', 'info',
                'Keep an issue in the sprints of one board; each board counts it by its own columns.'),
            ('blocked_on_closed_tickets', 'info',
                'Remove the link if nothing blocks it any more.'),
            ('discarded_changes', 'info',
                'Do not move started work back to not started: cycle time counts from the first start.'),
            ('unestimated', 'warning',
                'Estimate it before the sprint starts: it counts no points.'),
            ('stale_in_progress', 'warning',
                'Finish it, flag what blocks it, or take it out of progress.'),
            ('sprint_never_closed', 'error',
                'Complete the sprint: until then its figures are provisional and not in the velocity.'),
            ('overlapping_sprints', 'info',
                'Complete a sprint before the next one starts, unless teams share the board.'),
            ('estimate_changed_after_done', 'warning',
                'Leave estimates alone once work is done: the estimate at the end is what velocity counts.'),
            ('clock_skew', 'error',
                'Look into imports and clocks: these instants can not all be right.')
    ) as listed (check_id, severity, suggestion)
),

found as (
    select * from intermediate.int_quality__workflow
    union all
    select * from intermediate.int_quality__boards
    union all
    select * from intermediate.int_quality__relations
    union all
    select * from intermediate.int_quality__estimates
    union all
    select * from intermediate.int_quality__sprints
    union all
    select * from intermediate.int_quality__clocks
)

select
    f.connection,
    f.check_id,
    c.severity,
    f.subject,
    f.issue_id,
    i.issue_key,
    f.sprint_id,
    f.board_id,
    f.evidence,
    c.suggestion
from found as f
join checks as c on c.check_id = f.check_id
left join staging.stg_jira__issues as i
    on i.connection = f.connection and i.issue_id = f.issue_id
