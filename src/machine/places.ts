/** Where an agent keeps what: all of it below one folder of root's. */
import { join } from "node:path";

export interface Places {
  /** The copy it runs from; everybody may read it. */
  program: string;
  order: string;
  log: string;
  /** Root's alone: record, bindings, lock. */
  record: string;
  /** For everybody to read, root's to write. */
  results: string;
  report: string;
  receipt: string;
  sarif: string;
  /** The report for a person, Markdown. */
  summary: string;
  /** A copy of the record that everybody may read. */
  copy: string;
  /** Anybody may ask. */
  socket: string;
}

export function placesIn(state: string): Places {
  const results = join(state, "results");
  return {
    program: join(state, "program"),
    order: join(state, "order.json"),
    log: join(state, "agent.log"),
    record: join(state, "record"),
    results,
    report: join(results, "report.json"),
    receipt: join(results, "receipt.json"),
    sarif: join(results, "report.sarif"),
    summary: join(results, "summary.md"),
    copy: join(results, "record"),
    socket: join(state, "agent.sock"),
  };
}
