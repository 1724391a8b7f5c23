/** Nearest names, for messages about unknown commands and keys; policy documents use the same. */
export { editDistance, nearestName } from '../errors/nearest.ts';
