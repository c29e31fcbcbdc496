//! Makes the operators that can work for hours on little input let go of their thread, so that a
//! query that was cancelled, or whose time is over, really stops.
//!
//! A task is stopped where it yields. The engine's operators yield when they read a source; a join
//! of two small tables can produce without end and never read one.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    RecordBatchStream, ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::Stream;

/// Operators that may produce far more than they read.
const PRODUCTIVE: [&str; 7] = [
    "CrossJoinExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "PiecewiseMergeJoinExec",
    "SortMergeJoinExec",
    "SymmetricHashJoinExec",
    "UnnestExec",
];
/// Of these, those that compare every row with every row before they ask for more.
const COMPARING: [&str; 2] = ["CrossJoinExec", "NestedLoopJoinExec"];
/// Pairs of rows that the latter compare before they can be stopped.
const PAIRS: usize = 4 << 20;
/// Rows that they get at a time where the other side's size is not known.
const ROWS: usize = 16;

/// Puts an [`Interrupt`] above what is productive and below what compares.
#[derive(Debug)]
pub(super) struct Interruptible;

impl PhysicalOptimizerRule for Interruptible {
    fn name(&self) -> &str {
        "interruptible"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rewritten = plan.transform_up(|node| {
            if !PRODUCTIVE.contains(&node.name()) {
                return Ok(Transformed::no(node));
            }
            let node = if COMPARING.contains(&node.name()) {
                let mut children: Vec<_> = node.children().into_iter().map(Arc::clone).collect();
                if let Some(probe) = children.pop() {
                    let rows = children.first().map_or(ROWS, at_a_time);
                    children.push(Interrupt::above(probe, rows));
                }
                let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                node.replace_children(children, recompute)?
            } else {
                node
            };
            Ok(Transformed::yes(Interrupt::above(node, usize::MAX)))
        })?;
        Ok(rewritten.data)
    }
}

/// How many rows to compare at a time with all of the other side.
fn at_a_time(other: &Arc<dyn ExecutionPlan>) -> usize {
    let context = StatisticsContext::default();
    let statistics = context.compute(other.as_ref(), &StatisticsArgs::new()).ok();
    let rows = statistics.and_then(|known| known.num_rows.get_value().copied());
    rows.map_or(ROWS, |rows| (PAIRS / rows.max(1)).max(1))
}

/// Passes batches on, in slices of at most so many rows, and yields after each.
#[derive(Debug)]
struct Interrupt {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
}

impl Interrupt {
    fn above(input: Arc<dyn ExecutionPlan>, rows: usize) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, rows })
    }
}

impl DisplayAs for Interrupt {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterruptExec")
    }
}

impl ExecutionPlan for Interrupt {
    fn name(&self) -> &str {
        "InterruptExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Self::above(input, self.rows))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let recompute = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, recompute)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(Yielding {
            input: self.input.execute(partition, context)?,
            rows: self.rows,
            rest: None,
            yields: false,
        }))
    }
}

struct Yielding {
    input: SendableRecordBatchStream,
    rows: usize,
    /// What is left of the batch that was read last.
    rest: Option<RecordBatch>,
    /// Whether to yield before the next batch.
    yields: bool,
}

impl Stream for Yielding {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.yields {
            self.yields = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.input.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(batch))) => batch,
                other => return other,
            },
        };
        self.yields = true;
        if batch.num_rows() <= self.rows {
            return Poll::Ready(Some(Ok(batch)));
        }
        let rows = self.rows;
        self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        Poll::Ready(Some(Ok(batch.slice(0, rows))))
    }
}

impl RecordBatchStream for Yielding {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
