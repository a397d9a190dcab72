//! The Jinja engine, set up as the programs for which such templates are written set up theirs.

use chrono::NaiveDate;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use crate::template::TemplateError;
use crate::template::shape::Message;

/// The largest template that is read; real ones have a tenth of it.
const MOST_SOURCE: usize = 256 << 10;
/// What a template may spend beyond what its messages cost: about half a second, 128 MB.
const FUEL: u64 = 2_000_000;
/// Fuel for each byte of the messages: some templates copy them many times over.
const FUEL_PER_BYTE: u64 = 2;
/// The most text that a template may add to the messages.
const MOST_ADDED: usize = 1 << 20;
/// Deep enough for macros that call each other, shallow enough for a small stack.
const DEPTH: usize = 100;

/// One compiled template.
#[derive(Debug)]
pub(super) struct Engine {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

// === impl Engine ===

impl Engine {
    pub(super) fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        if source.len() > MOST_SOURCE {
            return Err(TemplateError::Excessive);
        }
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .expect("the usual delimiters"),
        );
        environment.set_recursion_limit(DEPTH);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<Value, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment
            .add_template_owned("chat", without_marks(source))
            .map_err(|error| TemplateError::Broken(error.to_string()))?;
        Ok(Self {
            environment,
            bos: bos.into(),
            eos: eos.into(),
        })
    }

    pub(super) fn render(
        &self,
        messages: &[Message<'_>],
        date: Option<NaiveDate>,
    ) -> Result<String, TemplateError> {
        let bytes: usize = messages.iter().map(|message| message.text.len()).sum();
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role, content => message.text.as_ref() })
            .collect();
        let mut values = context! {
            messages => messages,
            add_generation_prompt => true,
            // Nobody strips the thoughts of a model, so none are asked for.
            enable_thinking => false,
            // Defined as nothing, as the programs do for which templates are written.
            tools => (),
            documents => (),
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
        };
        if let Some(date) = date {
            let format = move |format: &str| strftime(date, format);
            values = context! { strftime_now => Value::from_function(format), ..values };
        }

        // Cloning shares the compiled template; only the fuel is the clone's own.
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + FUEL_PER_BYTE * bytes as u64));
        let text = environment
            .get_template("chat")
            .and_then(|template| template.render(values))
            .map_err(|error| match error.kind() {
                ErrorKind::OutOfFuel => TemplateError::Excessive,
                _ => TemplateError::Refused(reason(&error)),
            })?;
        if text.len() > MOST_ADDED + 8 * bytes {
            return Err(TemplateError::Excessive);
        }
        Ok(text)
    }
}

/// What went wrong, without the source lines that the error carries along.
fn reason(error: &Error) -> String {
    error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned)
}

/// Leaves out marks that only training needs and that no other engine knows.
fn without_marks(source: &str) -> String {
    let mut source = source.to_owned();
    for mark in ["generation", "endgeneration"] {
        for open in ["{%- ", "{% ", "{%-", "{%"] {
            for close in [" -%}", " %}", "-%}", "%}"] {
                let tag = if mark == "generation" {
                    "if true"
                } else {
                    "endif"
                };
                source = source.replace(
                    &format!("{open}{mark}{close}"),
                    &format!("{open} {tag} {close}"),
                );
            }
        }
    }
    source
}

fn strftime(date: NaiveDate, format: &str) -> Result<String, Error> {
    use std::fmt::Write as _;
    let mut out = String::new();
    // Midnight stands for the whole day, whatever the template asks for.
    write!(
        out,
        "{}",
        date.and_time(chrono::NaiveTime::MIN).format(format)
    )
    .map_err(|_| Error::new(ErrorKind::InvalidOperation, "not a date format"))?;
    Ok(out)
}
