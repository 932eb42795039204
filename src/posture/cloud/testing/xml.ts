/** The names of a document's elements, by a parser that refuses what is not well-formed. */
import { SaxesParser } from "saxes";

export function elementsOf(text: string): string[] {
  const names: string[] = [];
  const parser = new SaxesParser();
  parser.on("error", (error) => {
    throw error;
  });
  parser.on("opentag", ({ name }) => names.push(name));
  parser.write(text).close();
  return names;
}
