/** Three answers, because a policy's conditions ask for what nobody here knows: `maybe` is between `no` and `yes`. */
export type Truth = "yes" | "maybe" | "no";

const order: readonly Truth[] = ["no", "maybe", "yes"];

/** The least of them; `yes` of none. */
export function all(truths: Iterable<Truth>): Truth {
  let least: Truth = "yes";
  for (const truth of truths) if (order.indexOf(truth) < order.indexOf(least)) least = truth;
  return least;
}

/** The greatest of them; `no` of none. */
export function any(truths: Iterable<Truth>): Truth {
  let greatest: Truth = "no";
  for (const truth of truths) if (order.indexOf(truth) > order.indexOf(greatest)) greatest = truth;
  return greatest;
}

export function not(truth: Truth): Truth {
  return truth === "yes" ? "no" : truth === "no" ? "yes" : "maybe";
}

export function truthOf(value: boolean): Truth {
  return value ? "yes" : "no";
}
