/** Every limit of the format (WIRE.md sections 1 to 3), each with the code that answers at it. */

/** Root token in characters of its compact form: `delegation_too_large`. */
export const MAX_ROOT_BYTES = 4096;
/** One link: `delegation_too_large`. */
export const MAX_LINK_BYTES = 1536;
/** One WIT: `delegation_too_large`. */
export const MAX_WIT_BYTES = 1024;
/** The three header values together, separators included: `delegation_too_large`. */
export const MAX_TOTAL_BYTES = 16 * 1024;
/** Links of a chain: `delegation_too_large`. */
export const MAX_LINKS = 8;

/** Depth of JSON in a root, the outermost being 1, and in links and WITs: `delegation_malformed`. */
export const MAX_ROOT_JSON_DEPTH = 6;
export const MAX_JSON_DEPTH = 5;
/** Members of one JSON object, elements of one array: `delegation_malformed`. */
export const MAX_JSON_MEMBERS = 64;

/** Longest life of a root and of a link in seconds: `delegation_malformed`. They bound how long a revocation is remembered. */
export const MAX_ROOT_LIFE_S = 300;
export const MAX_LINK_LIFE_S = 60;

/** Depth where neither the root nor a link says less: `delegation_too_deep`. */
export const DEFAULT_MAX_DEPTH = 8;
/** How often one workload may stand in a chain: `delegation_loop`. */
export const MAX_APPEARANCES = 2;

/** Sizes of random identifiers in bytes. */
export const TXN_BYTES = 16;
export const JTI_BYTES = 12;
