/** The program under test, as people start it: the launcher of this clone. */
import { join } from "node:path";
import { root } from "./modules.ts";

export const launcher = join(root, "sallyport");
