/**
 * What must work, works: the battery's other half, in the same run as the attacks. Each work resolves with what a job and
 * the servers saw, and the battery compares that with nobody in the way: so monitor mode is shown to be inert, and enforce
 * mode to change nothing for what is allowed.
 */
import type { Work } from "../case.ts";
import { httpCases } from "./http.ts";
import { nameCases } from "./names.ts";
import { packageCases } from "./packages.ts";
import { tlsCases } from "./tls.ts";
import { transportCases } from "./transport.ts";

export const workCases: Work[] = [...tlsCases, ...httpCases, ...packageCases, ...nameCases, ...transportCases];
