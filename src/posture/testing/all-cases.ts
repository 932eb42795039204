/** All cases, of files, of the API and of clouds. */
import { apiCases } from "./cases-api.ts";
import { cloudCases } from "./cases-cloud.ts";
import { fileCases } from "./cases-files.ts";
import type { RuleCase } from "./rule-cases.ts";

export const allCases: readonly RuleCase[] = [...fileCases, ...apiCases, ...cloudCases];
