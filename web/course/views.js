// The views of the flow that chapters open.

export const VIEWS = {};
