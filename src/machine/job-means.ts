/** What an agent has before it has an order. */
import type { SigningKey } from "../audit/signature.ts";
import type { SpareThreads } from "../datapath/threads.ts";
import type { SelfTestResult } from "../simulate/self-test.ts";
import type { EarlierConnection, Summarise } from "./job-report.ts";
import type { ObserverThread } from "./observer-thread.ts";
import type { AgentWord } from "./order.ts";

export interface JobMeans {
  /** For one queue, the record and the observer. */
  spare: SpareThreads;
  /** What was found out while this process loaded. */
  word: AgentWord;
  /** Tries the ways out from where the job is. */
  selfTest: () => Promise<SelfTestResult>;
  /** Makes Markdown of a report for a person; what that says is no matter of the machine's. */
  summarise: Summarise;
  /** Told when each part of the start is done. */
  lap: (part: string) => void;
}

/** What was found out before the job was made. */
export interface JobRest extends Pick<JobMeans, "summarise"> {
  earlier: EarlierConnection[];
  measures: string[];
  key: SigningKey | null;
  observer: ObserverThread;
  mayBecomeRoot: boolean;
}
