/** Everything that is measured, in order. */
import type { Case } from "../stand/bench.ts";
import { connections } from "./connections.ts";
import { bulk } from "./bulk.ts";
import { decisions } from "./decisions.ts";
import { denied } from "./denied.ts";
import { dns } from "./dns.ts";
import { jobsCase } from "./jobs.ts";
import { memory } from "./memory.ts";
import { swap } from "./swap.ts";

export const cases: readonly Case[] = [connections, denied, bulk, dns, swap, jobsCase, memory, decisions];
