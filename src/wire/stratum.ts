/**
 * Whether a stream begins as a miner talks to its pool: Stratum, JSON-RPC with a line for each message, on any port. There is no
 * standard; these are the first calls that the dialects for Bitcoin, Ethereum and CryptoNote coins make. Pure.
 */

/** Calls that only miners make. */
const calls = /^(?:mining\.(?:subscribe|authorize|configure|hello|extranonce\.subscribe)|eth_submitLogin|eth_getWork)$/;
/** The same in text that is no whole JSON (yet). */
const spelled =
  /"method"\s*:\s*"(?:mining\.(?:subscribe|authorize|configure|hello|extranonce\.subscribe)|eth_submitLogin|eth_getWork)"/;
const most = 4_096;
const BRACE = 0x7b;

/** Reads the client's stream from its first byte; more bytes can make a no into a yes. */
export function isStratum(prefix: Uint8Array): boolean {
  if (prefix[0] !== BRACE) return false;
  const [line = ""] = Buffer.from(prefix.subarray(0, most)).toString("latin1").split("\n", 1);
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    return spelled.test(line);
  }
  const { method, params } = message as { method?: unknown; params?: unknown };
  if (typeof method !== "string") return false;
  return calls.test(method) || (method === "login" && isLogin(params));
}

/** CryptoNote's `login` is any service's word: it is a miner's with a wallet, a password and the program's name. */
function isLogin(params: unknown): boolean {
  if (typeof params !== "object" || params === null || Array.isArray(params)) return false;
  const { login, pass, agent } = params as Record<string, unknown>;
  return typeof login === "string" && (typeof pass === "string" || typeof agent === "string");
}
