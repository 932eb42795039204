/** What an agent has before it has an order. */
import type { SpareThreads } from "../datapath/pool.ts";
import type { SelfTestResult } from "../simulate/self-test.ts";

export interface JobMeans {
  /** For one queue. */
  spare: SpareThreads;
  /** Tries the ways out from where the job is. */
  selfTest: () => Promise<SelfTestResult>;
  /** Told when each part of the start is done. */
  lap: (part: string) => void;
}
