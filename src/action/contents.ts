/**
 * One file of a repository at a ref, from GitHub's REST interface (docs.github.com, "Get repository content"). Asked before
 * anything is enforced and before any step has run, because the work tree is not there yet, and would not be trusted if it was.
 */
import { setTimeout as wait } from "node:timers/promises";
import { SallyportError } from "../errors.ts";
import type { Ref } from "./event.ts";

const timeoutMs = 10_000;
/** A policy is limited to less (`policy/size.ts`). */
const mostBytes = 4 << 20;
/** How often a request is made before its failure counts, and the pause before each repeat, ms. */
const pauses = [500, 2_000];

/** The text; null where there is no such file. Throws POLICY_UNREADABLE where it cannot be told. */
export async function fetchFile(
  api: string,
  { repository, ref }: Ref,
  path: string,
  token: string,
): Promise<string | null> {
  const escaped = path.split("/").map(encodeURIComponent).join("/");
  const url = `${api}/repos/${repository}/contents/${escaped}?ref=${encodeURIComponent(ref)}`;
  const what = `${path} of ${repository} at ${ref}`;
  for (let attempt = 0; ; attempt++) {
    const outcome = await request(url, token);
    if ("text" in outcome) return outcome.text;
    if (outcome.status === 404) return null;
    const isLast = attempt >= pauses.length;
    if (!isLast && outcome.isPassing) {
      await wait(pauses[attempt]);
      continue;
    }
    const help =
      outcome.status === 401 || outcome.status === 403
        ? " Give the job `permissions: contents: read`, or the action another token."
        : "";
    throw new SallyportError("POLICY_UNREADABLE", `${what}: ${outcome.message}.${help}`);
  }
}

type Outcome = { text: string } | { status: number; message: string; isPassing: boolean };

async function request(url: string, token: string): Promise<Outcome> {
  try {
    const response = await fetch(url, {
      headers: {
        accept: "application/vnd.github.raw+json",
        "x-github-api-version": "2022-11-28",
        "user-agent": "sallyport",
        ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
      },
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
    const { status } = response;
    if (status !== 200) {
      await response.body?.cancel();
      return { status, message: `GitHub answered ${status}`, isPassing: status === 429 || status >= 500 };
    }
    const bytes = await readBounded(response);
    if (bytes === null) return { status: 0, message: `it is larger than ${mostBytes} bytes`, isPassing: false };
    return { text: bytes };
  } catch (error) {
    const { cause, message } = error as Error;
    const reason = cause instanceof Error ? cause.message : message;
    return { status: 0, message: `GitHub could not be asked: ${reason}`, isPassing: true };
  }
}

async function readBounded(response: Response): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > mostBytes) return null;
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString("utf8");
}
