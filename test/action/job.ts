/** What a job of the harness is made of, and what comes of it. */

export interface Step {
  id: string;
  /** A script for bash, or an action. */
  run?: string;
  shell?: string[];
  action?: string;
  folder?: string;
  ref?: string;
  pre?: string;
  main?: string;
  post?: string;
  with?: Record<string, string>;
  env?: Record<string, string>;
  always?: boolean;
  continueOnError?: boolean;
}

export interface PhaseResult {
  phase: "pre" | "main" | "post";
  step: string;
  status: number | string;
  output: string;
  milliseconds: number;
  pid: number;
}

export interface JobResult {
  failed: boolean;
  cancelled: boolean;
  results: PhaseResult[];
  summary: string;
  outputs: Record<string, Record<string, string>>;
  /** What the worker was answered when it sent its logs, after the last step: a status, or an error. */
  uploaded: number | string;
}

export interface JobOptions {
  env?: Record<string, string>;
  /** What root does to the machine before the job, for this job alone: a shell's lines, in a mount namespace of its own. */
  prepare?: string;
  /** How long a step may take, ms. */
  timeout?: number;
  /** The worker takes some seconds to send its logs, as GitHub's does. */
  lasting?: boolean;
  /** Somebody cancels the job when this file is there; between the signals there is so long, ms. */
  cancel?: { when: string; grace: number };
}

/** What the lab's REST interface answers. */
export interface ApiAnswer {
  policy: string | null;
  status?: number;
  hang?: boolean;
}

export interface RunnerOptions {
  /** The Node that actions run on; this test's own when left out. */
  node?: string;
  /** `.github/sallyport.yaml` of the default branch; null: there is none. */
  policy?: string | null;
  env?: Record<string, string>;
  /** Whether the lab has HTTP/3. */
  quic?: boolean;
  /** No sudo for the runner's user. */
  sudo?: boolean;
}
