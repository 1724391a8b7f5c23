export { type Amount, amountToJson, formatAmount, parseAmount } from './amount.ts';
export { type DetailRule, type DetailSchema, type DetailType, type DetailTypes, detailTypesOf } from './detail-type.ts';
export { hasDetailForm } from './form.ts';
export { isDetailSubset, matchDetails } from './narrow-details.ts';
export { parseDetailType } from './parse-detail-type.ts';
export { BUILT_IN_DETAIL_TYPES, PAYMENT } from './payment.ts';
export { MAX_DETAILS_TEXT, parseDetailsText } from './read-details.ts';
export { hasSpendable, isSpendable, type Quantity, quantityOf, undivided, withQuantity } from './spending.ts';
export { tellDetail } from './words.ts';
