export { mintWit, type WitClaims } from './mint-wit.ts';
export { verifyWit, type WitContext } from './verify-wit.ts';
export { linkKeyOf, MAX_WIT_CHARACTERS, type ParsedWit, parseWit, type VerifiedWit, WIT_TYP } from './wit.ts';
