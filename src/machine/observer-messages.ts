/** What crosses between the agent's main thread and its observer's. Plain data only. */
import type { EventBody } from "../audit/event.ts";
import type { KnownOffsets } from "../kernel/btf.ts";
import type { NotesAt } from "../process/notes.ts";
import type { TableBeginning } from "../process/table.ts";

export interface ObserverData {
  /** The runner's worker; null: there is none, and no process has a step. */
  worker: number | null;
  /** Values never to be shown in arguments. */
  secrets: readonly string[];
  /** The main thread's (`ProcessTable.notes`). */
  notes: NotesAt | null;
  /** What the main thread's table has read. */
  beginning?: TableBeginning;
  /** What was looked up of the kernel's types before. */
  types?: KnownOffsets;
  /** Null: no files are watched. */
  workspace: string | null;
}

/** A process that connected. */
export interface Connected {
  pid: number;
  /** The name it asked for, or the address. */
  where: string;
  port: number | null;
}

export type ToObserver = { kind: "connected"; connected: Connected } | { kind: "finish" } | { kind: "stop" };

export type FromObserver =
  | { kind: "ready"; wake: number; limits: string[] }
  | { kind: "record"; event: EventBody }
  /** All that there is to tell has been told. What could not be watched since the start, in words. */
  | { kind: "finished"; gaps: string[] };
