/** The token that a sink and those who probe it share: never from the arguments, which everybody on the machine sees. */
import { readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";

/** From a file, or the environment; null: none is given. Throws USAGE. */
export function tokenOf(file: string | undefined): string | null {
  let text: string | undefined = process.env["SALLYPORT_SINK_TOKEN"];
  try {
    if (file !== undefined) text = readFileSync(file, "utf8");
  } catch (error) {
    throw new SallyportError("USAGE", `The token cannot be read from ${file}: ${(error as Error).message}.`, {}, error);
  }
  const token = text?.trim() ?? "";
  if (token === "") return null;
  if (token.length < 16) throw new SallyportError("USAGE", "The token is shorter than 16 characters.");
  return token;
}
