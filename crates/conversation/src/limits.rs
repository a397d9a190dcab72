//! What people and chats may spend, checked before anything is spent.
//!
//! The count comes from the store, so a restart or a second message in the same instant changes
//! nothing; the turn that asks is not counted yet.

use std::time::Duration;

use tertulia_domain::{Money, Turn};
use tertulia_storage::Spent;
use tokio_util::sync::CancellationToken;

use crate::patience::{Halt, patiently};
use crate::settings::{Allowance, Limits};
use crate::shared::Shared;
use crate::texts::Text;

/// What the allowances leave.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Everything.
    Free,
    /// Only models that cost nothing.
    NoMoney {
        /// The period whose money is spent.
        per: Duration,
    },
    /// Nothing, for this reason.
    Refused(Text<'static>),
}

/// Whether the turn may be answered, and at what price.
pub(crate) async fn check(
    shared: &Shared,
    limits: &Limits,
    turn: &Turn,
    end: &CancellationToken,
) -> Result<Verdict, Halt> {
    let mut verdict = Verdict::Free;
    for (allowance, everybody) in [(&limits.per_person, false), (&limits.per_chat, true)] {
        for kind in Kind::ALL {
            let Some(per) = kind.period(allowance) else {
                continue;
            };
            let since = turn.created_at.before(per);
            let ask = || async move {
                if everybody {
                    shared
                        .storage
                        .spent_in(turn.conversation, since, turn.id)
                        .await
                } else {
                    shared.storage.spent_by(&turn.person, since, turn.id).await
                }
            };
            let spent = patiently(end, "read what was spent", ask).await?;
            match kind.judge(allowance, &spent) {
                Verdict::Free => {}
                no_money @ Verdict::NoMoney { .. } => verdict = no_money,
                refused @ Verdict::Refused(_) => return Ok(refused),
            }
        }
    }
    Ok(verdict)
}

#[derive(Clone, Copy)]
enum Kind {
    Messages,
    Tokens,
    Money,
}

// === impl Kind ===

impl Kind {
    const ALL: [Kind; 3] = [Kind::Messages, Kind::Tokens, Kind::Money];

    fn period(self, allowance: &Allowance) -> Option<Duration> {
        match self {
            Kind::Messages => allowance.messages.map(|rate| rate.per),
            Kind::Tokens => allowance.tokens.map(|rate| rate.per),
            Kind::Money => allowance.money.map(|rate| rate.per),
        }
    }

    fn judge(self, allowance: &Allowance, spent: &Spent) -> Verdict {
        match self {
            Kind::Messages => match allowance.messages {
                Some(rate) if spent.messages >= rate.amount => {
                    Verdict::Refused(Text::TooManyMessages {
                        amount: rate.amount,
                        per: rate.per,
                    })
                }
                _ => Verdict::Free,
            },
            Kind::Tokens => match allowance.tokens {
                Some(rate) if spent.tokens >= rate.amount => {
                    Verdict::Refused(Text::AllowanceSpent { per: rate.per })
                }
                _ => Verdict::Free,
            },
            Kind::Money => match allowance.money {
                Some(rate) if spent.money >= rate.amount && rate.amount >= Money::ZERO => {
                    Verdict::NoMoney { per: rate.per }
                }
                _ => Verdict::Free,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Rate;

    #[test]
    fn what_is_used_up_is_refused_and_money_only_steps_down() {
        let day = Duration::from_secs(86_400);
        let allowance = Allowance {
            messages: Some(Rate {
                amount: 2,
                per: Duration::from_secs(60),
            }),
            tokens: Some(Rate {
                amount: 100,
                per: day,
            }),
            money: Some(Rate {
                amount: Money(50),
                per: day,
            }),
        };
        let spent = |messages, tokens, money| Spent {
            messages,
            tokens,
            money: Money(money),
        };
        let judge = |kind: Kind, spent| kind.judge(&allowance, &spent);

        assert_eq!(judge(Kind::Messages, spent(1, 0, 0)), Verdict::Free);
        assert!(matches!(
            judge(Kind::Messages, spent(2, 0, 0)),
            Verdict::Refused(_)
        ));
        assert_eq!(judge(Kind::Tokens, spent(9, 99, 0)), Verdict::Free);
        assert!(matches!(
            judge(Kind::Tokens, spent(0, 100, 0)),
            Verdict::Refused(_)
        ));
        assert_eq!(judge(Kind::Money, spent(0, 0, 49)), Verdict::Free);
        assert_eq!(
            judge(Kind::Money, spent(0, 0, 50)),
            Verdict::NoMoney { per: day }
        );
        assert_eq!(
            Kind::Money.judge(&Allowance::default(), &spent(9, 9, i64::MAX)),
            Verdict::Free
        );
    }
}
