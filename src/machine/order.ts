/**
 * What whoever starts the agent tells it, and what it answers: one JSON text each way, on standard input and output. The order
 * comes from a process of the runner's user before anything else of the job has run; it is checked all the same.
 */
import { z } from "zod";
import { SallyportError } from "../errors.ts";
import type { KnownOffsets } from "../kernel/btf.ts";
import type { EarlierConnection } from "./job-report.ts";
import type { Part } from "./stopwatch.ts";

const identity = z.strictObject({
  repository: z.string(),
  workflow: z.string(),
  job: z.string(),
  run_id: z.string(),
  run_attempt: z.string(),
  runner: z.string(),
});

/** A host as a policy writes it, with its port, and what is spoken there; an address is known by nothing else. */
const endpoint = z.strictObject({ to: z.string(), protocol: z.enum(["tls", "http", "tcp"]) });

export type ControlEndpoint = z.infer<typeof endpoint>;

const schema = z.strictObject({
  schema: z.literal("sallyport.agent-order/1"),
  /** Root's own folder, which the agent makes. */
  state: z.string().startsWith("/"),
  job: identity,
  policy: z.strictObject({ text: z.string(), file: z.string(), from: z.string() }),
  /** Who the steps run as. */
  user: z.strictObject({ name: z.string(), uid: z.int().min(0) }),
  root: z.enum(["kept", "no-sudo", "no-sudo-no-containers"]),
  /** The runner's worker: the parent of every step's process. Null: looked for among the ancestors of whoever asks. */
  worker: z.int().min(2).nullable(),
  /** Hosts the runner itself needs, exact; allowed to the worker, some of them to GitHub's own actions. */
  control_plane: z.strictObject({
    runner: z.array(endpoint),
    actions: z.array(endpoint),
    self: z.strictObject({ action: z.string(), endpoints: z.array(endpoint) }).nullable(),
  }),
  /** Values that must not be shown in arguments. */
  secrets: z.array(z.string()).max(1_000),
  /** Files and folders of ours that nobody may change while the job runs. */
  own: z.array(z.string().startsWith("/")),
  workspace: z.string().startsWith("/").nullable(),
  file_monitoring: z.boolean(),
  self_test: z.boolean(),
  /** What the runner calls our own step (`GITHUB_ACTION`). */
  step: z.string(),
  /** What the summary says besides the report. */
  summary: z.strictObject({
    policy_path: z.string(),
    proposal: z.string().nullable(),
    fail_on: z.array(z.enum(["denied", "detection"])),
  }),
  /** Path of the workflow's file in the repository, where it is known. */
  workflow_file: z.string().optional(),
  /** A private key of root's that signs record and receipt. */
  sign_key: z.string().startsWith("/").optional(),
});

export type AgentOrder = z.infer<typeof schema>;

/** What the agent is told, as a line, when its order is in its place: what was found out while it loaded. */
export interface AgentWord {
  /** Of the kernel's types. */
  types: KnownOffsets;
  /** Whether sudo makes the user root, where it is left to him; false where it is not asked. */
  may_become_root: boolean;
}

/** The agent's first word: it enforces, or why it does not. */
export type AgentAnswer =
  | {
      ready: true;
      state: string;
      socket: string;
      pid: number;
      /** What is not as it should be although it enforces, in words. */
      degraded: string[];
      limits: string[];
      earlier: EarlierConnection[];
      /** What was done besides, in words: root taken away, and the like. */
      measures: string[];
      /** Where the time went, of each process. */
      parts: Record<string, Part[]>;
    }
  | { ready: false; code: string; message: string };

/** Parses an order. Throws AGENT. */
export function readOrder(text: string): AgentOrder {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SallyportError("AGENT", `The agent's order is no JSON: ${(error as Error).message}.`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SallyportError("AGENT", `The agent's order is not understood: ${z.prettifyError(parsed.error)}`);
}
