//! One certificate: asked for, proved, and received.

use std::time::Duration;

use cepa_server::tls::TlsFolder;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error as Protocol, Identifier,
    NewOrder, Order as Ordered, OrderStatus, RetryPolicy,
};

use crate::{
    AcmeConfig, Challenge,
    answer::Answer,
    error::{OrderError, of_problem},
    kept::{self, Kept},
};

/// The first pause between two looks at what the authority does; each is longer.
const PAUSE: Duration = Duration::from_millis(250);

/// A certificate that is wanted.
pub(crate) struct Order<'a> {
    pub(crate) account: &'a Account,
    pub(crate) config: &'a AcmeConfig,
    pub(crate) directory: &'a str,
    pub(crate) folder: &'a TlsFolder,
    pub(crate) name: &'a str,
    /// The one that it is to replace, if the authority wants to know.
    pub(crate) replaces: Option<CertificateIdentifier<'a>>,
}

impl Order<'_> {
    /// Gets the certificate; gives the text to keep, and what it says.
    pub(crate) async fn get(&self) -> Result<(String, Kept), OrderError> {
        let mut ordered = self.begin().await?;
        let patience = RetryPolicy::new().initial_delay(PAUSE).timeout(self.config.order_timeout);
        let seen = self.prove(&mut ordered, &patience).await;
        if let Err(error) = seen {
            return Err(self.reason(&mut ordered, error).await);
        }
        let key = ordered.finalize().await?;
        let chain = ordered.poll_certificate(&patience).await?;
        let text = kept::text(self.directory, &key, &chain);
        let kept = Kept::parse(&text, self.name).map_err(OrderError::Unusable)?;
        Ok((text, kept))
    }

    async fn begin(&self) -> Result<Ordered, OrderError> {
        let identifiers = [Identifier::Dns(self.name.to_owned())];
        let new = || match &self.config.profile {
            Some(profile) => NewOrder::new(&identifiers).profile(profile),
            None => NewOrder::new(&identifiers),
        };
        if let Some(replaces) = self.replaces.clone() {
            match self.account.new_order(&new().replaces(replaces)).await {
                // It was replaced already, or by another account; RFC 9773, section 5.
                Err(Protocol::Api(problem)) if problem.status == Some(409) => {}
                ordered => return Ok(ordered?),
            }
        }
        Ok(self.account.new_order(&new()).await?)
    }

    /// Shows what the authority wants to see for as long as it looks.
    async fn prove(&self, ordered: &mut Ordered, patience: &RetryPolicy) -> Result<(), OrderError> {
        let _answers = self.answer(ordered).await?;
        match ordered.poll_ready(patience).await? {
            OrderStatus::Invalid => Err(OrderError::Ended("invalid, and it does not say why".to_owned())),
            _ => Ok(()),
        }
    }

    /// Shows it, and tells the authority so.
    async fn answer(&self, ordered: &mut Ordered) -> Result<Vec<Answer>, OrderError> {
        let mut answers = Vec::new();
        let (kind, wanted) = match self.config.challenge {
            Challenge::Http01 => (ChallengeType::Http01, "http-01"),
            Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
        };
        let mut authorizations = ordered.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                status => return Err(OrderError::Ended(format!("{status:?}"))),
            }
            let offered: Vec<_> =
                authorization.challenges.iter().map(|one| format!("{:?}", one.r#type)).collect();
            let not_offered = || OrderError::NotOffered { wanted, offered: offered.join(", ") };
            let mut challenge = authorization.challenge(kind.clone()).ok_or_else(not_offered)?;
            let (token, proof) = (challenge.token.clone(), challenge.key_authorization());
            answers.push(Answer::show(self.config.challenge, self.folder, self.name, &token, &proof).await?);
            challenge.set_ready().await?;
        }
        Ok(answers)
    }

    /// Why a proof has failed: the challenge says so, the order and what was answered seldom.
    async fn reason(&self, ordered: &mut Ordered, error: OrderError) -> OrderError {
        let mut authorizations = ordered.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let Ok(state) = authorization.refresh().await else { continue };
            if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
                return OrderError::NotSeen { challenge: self.config.challenge, detail: of_problem(problem) };
            }
        }
        error
    }
}
