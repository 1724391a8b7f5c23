export { LINK_TYP, type LinkClaims, type ParsedLink } from './link-claims.ts';
export { type LinkOrder, type LinkSigner, mintLink, type OutgoingChain } from './mint-link.ts';
export { parseLink } from './parse-link.ts';
