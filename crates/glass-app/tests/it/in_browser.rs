//! The page of `glass serve`, in a browser. `./check` runs these tests beside the others: they wait for each other.

mod axe;
mod course;
mod flow;
mod flow_trace;
mod page;
mod page_alone;
mod pictures;
