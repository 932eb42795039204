/** Everything that is measured, in order. */
import type { Case } from "../stand/bench.ts";
import { connections } from "./connections.ts";

export const cases: readonly Case[] = [connections];
