//! Where a visit came from: the referring host and the campaign, read into one source and one channel.

use std::collections::HashMap;
use std::sync::OnceLock;

use foldhash::fast::FixedState;

use crate::web_url::{AdClick, Campaign};

/// How a visit came (SPEC G6, with AI assistants and video).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// No referrer and no campaign.
    Direct,
    /// A search engine's own results.
    OrganicSearch,
    /// A link in a social network.
    OrganicSocial,
    /// A link on a video platform.
    OrganicVideo,
    /// A link in the answer of an AI assistant.
    AiAssistants,
    /// A link in a mail.
    Email,
    /// An advertisement outside social networks.
    Paid,
    /// An advertisement in a social network.
    PaidSocial,
    /// A link on any other site.
    Referral,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 9] = [
        Self::Direct,
        Self::OrganicSearch,
        Self::OrganicSocial,
        Self::OrganicVideo,
        Self::AiAssistants,
        Self::Email,
        Self::Paid,
        Self::PaidSocial,
        Self::Referral,
    ];

    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "Direct",
            Self::OrganicSearch => "Organic Search",
            Self::OrganicSocial => "Organic Social",
            Self::OrganicVideo => "Organic Video",
            Self::AiAssistants => "AI Assistants",
            Self::Email => "Email",
            Self::Paid => "Paid",
            Self::PaidSocial => "Paid Social",
            Self::Referral => "Referral",
        }
    }
}

/// What kind of site a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A search engine.
    Search,
    /// A social network or forum.
    Social,
    /// A video platform.
    Video,
    /// A web mail service or mailing service.
    Email,
    /// An AI assistant.
    Ai,
}

/// A source that the table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSource {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: SourceKind,
}

/// Who sent a visit, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution<'a> {
    /// A name such as `Google`, else `utm_source` as it was sent, else the referring host without `www.`; empty for direct visits.
    pub source: &'a str,
    /// The one channel.
    pub channel: Channel,
}

/// Attributes a visit from `referrer_host` (lower case; empty when there is none or it is the website itself) with
/// `campaign`. Total and pure: every input has exactly one channel.
pub fn attribute<'a>(referrer_host: &'a str, campaign: &'a Campaign) -> Attribution<'a> {
    let referrer = known_host(referrer_host);
    let tagged = if campaign.source.is_empty() { None } else { known_tag(&campaign.source) };
    let source = match (tagged, referrer) {
        (Some(known), _) => known.name,
        (None, _) if !campaign.source.is_empty() => &campaign.source,
        (None, Some(known)) => known.name,
        (None, None) => referrer_host.strip_prefix("www.").unwrap_or(referrer_host),
    };
    let kind = tagged.or(if campaign.source.is_empty() { referrer } else { None }).map(|known| known.kind);
    Attribution {
        source,
        channel: channel(!referrer_host.is_empty(), referrer.map(|known| known.kind), kind, campaign),
    }
}

/// The table of channels, first match wins. `kind` is that of the source, `referrer_kind` that of the referring host alone.
fn channel(
    has_referrer: bool,
    referrer_kind: Option<SourceKind>,
    kind: Option<SourceKind>,
    campaign: &Campaign,
) -> Channel {
    let medium = Medium::read(&campaign.medium);
    let kind = kind.or(referrer_kind);
    match (medium, campaign.ad_click, kind) {
        (Some(Medium::PaidSocial), _, _) => Channel::PaidSocial,
        (Some(Medium::Paid), _, Some(SourceKind::Social)) => Channel::PaidSocial,
        (Some(Medium::Paid), Some(AdClick::Social), _) => Channel::PaidSocial,
        (Some(Medium::Paid), _, _) => Channel::Paid,
        (Some(Medium::Email), _, _) => Channel::Email,
        (Some(Medium::Social), None, _) => Channel::OrganicSocial,
        (Some(Medium::Video), None, _) => Channel::OrganicVideo,
        (Some(Medium::Organic), None, _) => Channel::OrganicSearch,
        (Some(Medium::Referral), None, _) => Channel::Referral,
        (_, Some(AdClick::Social), _) => Channel::PaidSocial,
        (_, Some(AdClick::Search | AdClick::Other), _) => Channel::Paid,
        (_, None, Some(SourceKind::Search)) => Channel::OrganicSearch,
        (_, None, Some(SourceKind::Social)) => Channel::OrganicSocial,
        (_, None, Some(SourceKind::Video)) => Channel::OrganicVideo,
        (_, None, Some(SourceKind::Email)) => Channel::Email,
        (_, None, Some(SourceKind::Ai)) => Channel::AiAssistants,
        (_, None, None) => {
            let tagged = !campaign.source.is_empty() || !campaign.medium.is_empty() || !campaign.name.is_empty();
            if has_referrer || tagged { Channel::Referral } else { Channel::Direct }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Medium {
    Paid,
    PaidSocial,
    Email,
    Social,
    Video,
    Organic,
    Referral,
}

impl Medium {
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let text = text.to_ascii_lowercase().replace(['_', ' '], "-");
        Some(match text.as_str() {
            "paid-social" | "paidsocial" | "social-paid" | "cpc-social" => Self::PaidSocial,
            "paid" | "cpc" | "ppc" | "cpm" | "cpv" | "cpa" | "cpp" | "paid-search" | "paidsearch" | "sem"
            | "display" | "banner" | "retargeting" | "remarketing" | "ads" | "ad" | "paid-video" | "shopping" => {
                Self::Paid
            }
            "email" | "e-mail" | "mail" | "newsletter" => Self::Email,
            "social" | "social-network" | "social-media" | "sm" | "organic-social" => Self::Social,
            "video" => Self::Video,
            "organic" | "organic-search" | "search" => Self::Organic,
            "referral" | "affiliate" | "partner" | "link" => Self::Referral,
            _ => return None,
        })
    }
}

/// The source that `host` or a domain above it belongs to.
pub fn known_host(host: &str) -> Option<KnownSource> {
    if host.is_empty() {
        return None;
    }
    let table = table();
    let mut rest = host;
    loop {
        if let Some(known) = table.hosts.get(rest) {
            return Some(*known);
        }
        match rest.split_once('.') {
            Some((_, parent)) if parent.contains('.') => rest = parent,
            _ => break,
        }
    }
    // `google.*` stands for Google under every public suffix.
    let domain = psl::domain_str(host)?;
    table.labels.get(domain.split('.').next()?).copied()
}

/// The source that a `utm_source` names: by a short name such as `fb`, or by a host.
fn known_tag(tag: &str) -> Option<KnownSource> {
    let lower = tag.trim().to_ascii_lowercase();
    table().tags.get(lower.as_str()).copied().or_else(|| if lower.contains('.') { known_host(&lower) } else { None })
}

/// What is in it is known, so nobody can make its keys collide.
#[derive(Default)]
struct Table {
    hosts: HashMap<&'static str, KnownSource, FixedState>,
    labels: HashMap<&'static str, KnownSource, FixedState>,
    tags: HashMap<String, KnownSource, FixedState>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::default();
        for (kind, rows) in [
            (SourceKind::Search, SEARCH),
            (SourceKind::Social, SOCIAL),
            (SourceKind::Video, VIDEO),
            (SourceKind::Email, EMAIL),
            (SourceKind::Ai, AI),
        ] {
            for &(name, hosts) in rows {
                let known = KnownSource { name, kind };
                table.tags.insert(name.to_ascii_lowercase(), known);
                for host in hosts.split(' ') {
                    match (host.strip_suffix(".*"), host.contains('.')) {
                        (Some(label), _) => {
                            table.labels.insert(label, known);
                        }
                        (None, true) => {
                            table.hosts.insert(host, known);
                        }
                        (None, false) => {
                            table.tags.insert(host.to_owned(), known);
                        }
                    }
                }
            }
        }
        table
    })
}

// Name, then: hosts (with all below them), `label.*` for a name under every public suffix, and short names used in
// `utm_source`.
type Rows = &'static [(&'static str, &'static str)];

const SEARCH: Rows = &[
    (
        "Google",
        "google.* googleadservices.com googlesyndication.com adwords googleads com.google.android.googlequicksearchbox",
    ),
    ("Bing", "bing.com cn.bing.com bingads"),
    ("Yahoo!", "search.yahoo.com search.yahoo.co.jp yahoo.* yahoo"),
    ("DuckDuckGo", "duckduckgo.com ddg.gg ddg"),
    ("Yandex", "yandex.* ya.ru"),
    ("Baidu", "baidu.com"),
    ("Ecosia", "ecosia.org"),
    ("Brave Search", "search.brave.com brave"),
    ("Startpage", "startpage.com startpage.de ixquick.com"),
    ("Qwant", "qwant.com"),
    ("Kagi", "kagi.com"),
    ("Mojeek", "mojeek.com mojeek.co.uk"),
    ("Naver", "search.naver.com naver.com"),
    ("Daum", "search.daum.net daum.net"),
    ("Sogou", "sogou.com"),
    ("360 Search", "so.com"),
    ("Shenma", "sm.cn"),
    ("Seznam", "search.seznam.cz seznam.cz"),
    ("Ask", "ask.com"),
    ("AOL", "search.aol.com aol.* aol"),
    ("Lycos", "lycos.*"),
    ("Dogpile", "dogpile.com"),
    ("Swisscows", "swisscows.com swisscows.ch"),
    ("MetaGer", "metager.org metager.de"),
    ("Gibiru", "gibiru.com"),
    ("Presearch", "presearch.com presearch.org"),
    ("Petal Search", "petalsearch.com"),
    ("Coc Coc", "coccoc.com"),
    ("Mail.ru", "go.mail.ru"),
    ("Rambler", "nova.rambler.ru rambler.ru"),
    ("Sputnik", "sputnik.ru"),
    ("Onet", "szukaj.onet.pl"),
    ("WP", "szukaj.wp.pl"),
    ("T-Online", "suche.t-online.de"),
    ("Web.de", "suche.web.de"),
    ("GMX", "suche.gmx.net suche.gmx.at"),
    ("Virgilio", "ricerca.virgilio.it"),
    ("Libero", "ricerca.libero.it arianna.libero.it"),
    ("Orange", "lemoteur.orange.fr"),
    ("Free", "recherche.free.fr"),
    ("Rakuten", "websearch.rakuten.co.jp"),
    ("goo", "search.goo.ne.jp goo.ne.jp"),
    ("Excite", "excite.* excite"),
    ("Biglobe", "websearch.biglobe.ne.jp cgi.search.biglobe.ne.jp"),
    ("Nifty", "search.nifty.com"),
    ("Info.com", "info.com"),
    ("WebCrawler", "webcrawler.com"),
    ("Metacrawler", "metacrawler.com"),
    ("Searx", "searx.be searx.org searx.info searxng.org"),
    ("You.com Search", "search.you.com"),
    ("Lilo", "search.lilo.org lilo.org"),
    ("Oceanhero", "oceanhero.today"),
    ("Givero", "givero.com"),
    ("Yep", "yep.com"),
    ("Marginalia", "search.marginalia.nu marginalia.nu"),
    ("Wolfram|Alpha", "wolframalpha.com"),
    ("Avira Search", "search.avira.com"),
    ("AVG Search", "search.avg.com mysearch.avg.com"),
    ("Norton Search", "search.norton.com nortonsafe.search.ask.com"),
    ("Babylon", "search.babylon.com"),
    ("MyWay", "search.myway.com"),
    ("Snap Search", "snap.com"),
    ("Entireweb", "entireweb.com"),
    ("Gigablast", "gigablast.com"),
    ("Alexandria", "alexandria.org"),
    ("Stract", "stract.com"),
    ("Egerin", "egerin.com"),
    ("Parsijoo", "parsijoo.ir"),
    ("Zoek", "zoek.nl"),
    ("Vinden", "vinden.nl"),
    ("Eniro", "eniro.se eniro.no eniro.dk"),
    ("Kvasir", "kvasir.no"),
    ("Sapo", "pesquisa.sapo.pt sapo.pt"),
    ("UOL Busca", "busca.uol.com.br"),
    ("Centrum", "search.centrum.cz"),
    ("Zoznam", "zoznam.sk"),
    ("Najdi", "najdi.si"),
    ("Walla", "search.walla.co.il"),
    ("Youdao", "youdao.com"),
    ("Toutiao", "so.toutiao.com"),
    ("Quark", "quark.sm.cn"),
    ("PCHome", "ezfind.pchome.com.tw"),
    ("Nate", "search.nate.com nate.com"),
    ("Zum", "search.zum.com"),
];

const SOCIAL: Rows = &[
    (
        "Facebook",
        "facebook.com fb.com fb.me m.me l.facebook.com lm.facebook.com messenger.com com.facebook.katana fb facebook-ads meta",
    ),
    ("Instagram", "instagram.com l.instagram.com com.instagram.android ig"),
    ("X", "twitter.com x.com t.co com.twitter.android twitter"),
    ("LinkedIn", "linkedin.com lnkd.in com.linkedin.android"),
    ("Reddit", "reddit.com redd.it out.reddit.com com.reddit.frontpage"),
    ("Pinterest", "pinterest.* pin.it"),
    ("TikTok", "tiktok.com vm.tiktok.com douyin.com tiktok-ads"),
    ("Snapchat", "snapchat.com"),
    ("Threads", "threads.net threads.com"),
    ("Bluesky", "bsky.app go.bsky.app"),
    (
        "Mastodon",
        "mastodon.social mastodon.online mstdn.social mstdn.jp mas.to fosstodon.org hachyderm.io infosec.exchange mastodon.world chaos.social joinmastodon.org",
    ),
    ("Tumblr", "tumblr.com t.umblr.com"),
    ("WhatsApp", "whatsapp.com wa.me web.whatsapp.com"),
    ("Telegram", "telegram.org t.me web.telegram.org telegram.me org.telegram.messenger"),
    ("Discord", "discord.com discordapp.com discord.gg"),
    ("Slack", "slack.com app.slack.com com.slack"),
    ("Microsoft Teams", "teams.microsoft.com teams.live.com"),
    ("Signal", "signal.org"),
    ("Line", "line.me"),
    ("WeChat", "weixin.qq.com wechat.com mp.weixin.qq.com"),
    ("QQ", "qzone.qq.com"),
    ("Weibo", "weibo.com weibo.cn t.cn"),
    ("Douban", "douban.com"),
    ("Zhihu", "zhihu.com"),
    ("Xiaohongshu", "xiaohongshu.com xhslink.com"),
    ("VK", "vk.com vk.ru vkontakte.ru away.vk.com"),
    ("Odnoklassniki", "ok.ru odnoklassniki.ru"),
    ("KakaoTalk", "kakao.com story.kakao.com pf.kakao.com"),
    ("Hacker News", "news.ycombinator.com hn hackernews"),
    ("Lobsters", "lobste.rs"),
    ("Product Hunt", "producthunt.com"),
    ("Indie Hackers", "indiehackers.com"),
    ("Slashdot", "slashdot.org"),
    ("Digg", "digg.com"),
    ("Quora", "quora.com"),
    ("Stack Overflow", "stackoverflow.com"),
    ("Stack Exchange", "stackexchange.com superuser.com serverfault.com askubuntu.com"),
    ("GitHub", "github.com gist.github.com"),
    ("GitLab", "gitlab.com"),
    ("Medium", "medium.com"),
    ("Substack", "substack.com"),
    ("DEV Community", "dev.to"),
    ("Hashnode", "hashnode.com hashnode.dev"),
    ("Lemmy", "lemmy.world lemmy.ml beehaw.org programming.dev"),
    ("Flipboard", "flipboard.com"),
    ("Pocket", "getpocket.com"),
    ("Instapaper", "instapaper.com"),
    ("Nextdoor", "nextdoor.com"),
    ("Meetup", "meetup.com"),
    ("Xing", "xing.com"),
    ("Viadeo", "viadeo.com"),
    ("Goodreads", "goodreads.com"),
    ("Letterboxd", "letterboxd.com"),
    ("Flickr", "flickr.com"),
    ("DeviantArt", "deviantart.com"),
    ("Behance", "behance.net"),
    ("Dribbble", "dribbble.com"),
    ("SoundCloud", "soundcloud.com"),
    ("Spotify", "open.spotify.com spotify.com"),
    ("Last.fm", "last.fm"),
    ("LiveJournal", "livejournal.com"),
    ("Blogger", "blogger.com"),
    ("Wykop", "wykop.pl"),
    ("Hatena", "b.hatena.ne.jp hatena.ne.jp"),
    ("note", "note.com"),
    ("Mixi", "mixi.jp"),
    ("Gab", "gab.com"),
    ("Truth Social", "truthsocial.com"),
    ("Parler", "parler.com"),
    ("Gettr", "gettr.com"),
    ("MeWe", "mewe.com"),
    ("Minds", "minds.com"),
    ("Diaspora", "joindiaspora.com diasp.org"),
    ("Imgur", "imgur.com"),
    ("9GAG", "9gag.com"),
    ("4chan", "4chan.org 4channel.org"),
    ("Linktree", "linktr.ee"),
    ("Hootsuite", "ow.ly hootsuite.com"),
    ("Buffer", "buffer.com buff.ly"),
    ("Disqus", "disqus.com"),
    ("Taringa", "taringa.net"),
    ("Badoo", "badoo.com"),
    ("Skyrock", "skyrock.com"),
    ("MySpace", "myspace.com"),
    ("Viber", "viber.com"),
    ("Skype", "web.skype.com"),
    ("Zalo", "zalo.me"),
    ("ShareChat", "sharechat.com"),
    ("Koo", "kooapp.com"),
];

const VIDEO: Rows = &[
    ("YouTube", "youtube.com youtu.be m.youtube.com youtube-nocookie.com com.google.android.youtube yt"),
    ("Vimeo", "vimeo.com player.vimeo.com"),
    ("Twitch", "twitch.tv"),
    ("Dailymotion", "dailymotion.com dai.ly"),
    ("Bilibili", "bilibili.com b23.tv"),
    ("Youku", "youku.com"),
    ("Niconico", "nicovideo.jp nico.ms"),
    ("Rumble", "rumble.com"),
    ("Odysee", "odysee.com"),
    ("PeerTube", "joinpeertube.org peertube.tv"),
    ("Kick", "kick.com"),
    ("RuTube", "rutube.ru"),
    ("iQIYI", "iqiyi.com"),
    ("TED", "ted.com"),
    ("Wistia", "wistia.com wistia.net"),
    ("Loom", "loom.com"),
];

const EMAIL: Rows = &[
    ("Gmail", "mail.google.com inbox.google.com com.google.android.gm"),
    ("Outlook", "outlook.live.com outlook.office.com outlook.office365.com mail.live.com hotmail.com"),
    ("Yahoo! Mail", "mail.yahoo.com mail.yahoo.co.jp"),
    ("AOL Mail", "mail.aol.com"),
    ("iCloud Mail", "icloud.com"),
    ("Proton Mail", "mail.proton.me mail.protonmail.com"),
    ("Tuta", "mail.tutanota.com app.tuta.com"),
    ("Fastmail", "fastmail.com"),
    ("Zoho Mail", "mail.zoho.com mail.zoho.eu"),
    ("GMX Mail", "gmx.net gmx.com navigator.gmx.net deref-gmx.net"),
    ("Web.de Mail", "web.de deref-web.de navigator.web.de"),
    ("T-Online Mail", "email.t-online.de"),
    ("Mail.ru Mail", "e.mail.ru"),
    ("Yandex Mail", "mail.yandex.ru mail.yandex.com"),
    ("QQ Mail", "mail.qq.com"),
    ("NetEase Mail", "mail.163.com mail.126.com"),
    ("Naver Mail", "mail.naver.com"),
    ("Orange Mail", "webmail.orange.fr messagerie.orange.fr"),
    ("Free Mail", "webmail.free.fr"),
    ("Libero Mail", "mail.libero.it"),
    ("Seznam Mail", "email.seznam.cz"),
    ("Mailchimp", "mailchimp.com mailchi.mp list-manage.com"),
    ("Brevo", "sendibm1.com sendinblue.com brevo"),
    ("Klaviyo", "klaviyo.com klclick.com"),
    ("HubSpot Email", "hubspotemail.net hs_email"),
    ("Newsletter", "newsletter email mail e-mail"),
];

const AI: Rows = &[
    ("ChatGPT", "chatgpt.com chat.openai.com openai.com com.openai.chatgpt"),
    ("Claude", "claude.ai anthropic.com"),
    ("Perplexity", "perplexity.ai pplx.ai"),
    ("Gemini", "gemini.google.com bard.google.com aistudio.google.com notebooklm.google.com"),
    ("Copilot", "copilot.microsoft.com copilot.cloud.microsoft m365.cloud.microsoft"),
    ("Meta AI", "meta.ai"),
    ("Grok", "grok.com x.ai"),
    ("DeepSeek", "deepseek.com chat.deepseek.com"),
    ("Mistral", "mistral.ai chat.mistral.ai"),
    ("You.com", "you.com"),
    ("Poe", "poe.com"),
    ("Phind", "phind.com"),
    ("Kimi", "kimi.com kimi.moonshot.cn"),
    ("Qwen", "chat.qwen.ai tongyi.aliyun.com"),
    ("Doubao", "doubao.com"),
    ("Yiyan", "yiyan.baidu.com"),
    ("Character.AI", "character.ai"),
    ("Pi", "pi.ai"),
    ("HuggingChat", "huggingface.co"),
    ("Felo", "felo.ai"),
    ("Genspark", "genspark.ai"),
    ("Duck.ai", "duck.ai"),
    ("Andi", "andisearch.com"),
    ("iAsk", "iask.ai"),
    ("Lumo", "lumo.proton.me"),
    ("Le Chat", "lechat.mistral.ai"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn campaign(query: &str) -> Campaign {
        crate::WebUrl::parse(format!("https://e.com/?{query}")).unwrap().campaign()
    }

    #[test]
    fn sources_and_channels() {
        for (host, query, source, channel) in [
            ("", "", "", Channel::Direct),
            ("www.google.co.uk", "", "Google", Channel::OrganicSearch),
            ("google.com", "gclid=1", "Google", Channel::Paid),
            ("duckduckgo.com", "", "DuckDuckGo", Channel::OrganicSearch),
            ("mail.google.com", "", "Gmail", Channel::Email),
            ("gemini.google.com", "", "Gemini", Channel::AiAssistants),
            ("chatgpt.com", "utm_source=chatgpt.com", "ChatGPT", Channel::AiAssistants),
            ("", "utm_source=chatgpt.com", "ChatGPT", Channel::AiAssistants),
            ("l.facebook.com", "", "Facebook", Channel::OrganicSocial),
            ("l.facebook.com", "fbclid=1", "Facebook", Channel::PaidSocial),
            ("", "ttclid=1", "", Channel::PaidSocial),
            ("t.co", "", "X", Channel::OrganicSocial),
            ("m.youtube.com", "", "YouTube", Channel::OrganicVideo),
            ("news.ycombinator.com", "", "Hacker News", Channel::OrganicSocial),
            ("blog.partner.example", "", "blog.partner.example", Channel::Referral),
            ("www.partner.example", "", "partner.example", Channel::Referral),
            ("notgoogle.com", "", "notgoogle.com", Channel::Referral),
            ("google.com.evil.example", "", "google.com.evil.example", Channel::Referral),
            ("", "utm_source=newsletter", "Newsletter", Channel::Email),
            ("", "utm_source=spring&utm_medium=email", "spring", Channel::Email),
            ("", "utm_source=google&utm_medium=cpc", "Google", Channel::Paid),
            ("", "utm_source=fb&utm_medium=ppc", "Facebook", Channel::PaidSocial),
            ("", "utm_source=x&utm_medium=Paid_Social", "X", Channel::PaidSocial),
            ("www.google.com", "utm_source=partner", "partner", Channel::OrganicSearch),
            ("", "utm_source=partner", "partner", Channel::Referral),
            ("", "utm_campaign=spring", "", Channel::Referral),
            ("", "utm_medium=social", "", Channel::OrganicSocial),
        ] {
            let campaign = campaign(query);
            let found = attribute(host, &campaign);
            assert_eq!((found.source, found.channel), (source, channel), "{host:?} {query:?}");
        }
    }

    #[test]
    fn every_row_is_found_under_its_own_name_and_no_host_twice() {
        let mut seen = HashMap::new();
        for rows in [SEARCH, SOCIAL, VIDEO, EMAIL, AI] {
            for (name, hosts) in rows {
                for host in hosts.split(' ') {
                    assert_eq!(seen.insert(host, name), None, "{host}");
                    assert_eq!(host, host.trim().to_ascii_lowercase());
                    if host.contains('.') {
                        let host = host.replace(".*", ".com");
                        assert_eq!(known_host(&host).map(|known| known.name), Some(*name), "{host}");
                    }
                }
            }
        }
        assert!(seen.len() > 300, "{}", seen.len());
    }

    #[test]
    fn channels_have_their_own_names() {
        let names: std::collections::HashSet<_> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
        assert_eq!(names.len(), Channel::ALL.len());
    }

    proptest! {
        #[test]
        fn every_input_has_one_channel(
            host in "([a-z0-9-]{0,8}\\.){0,3}(com|google\\.de|co\\.uk|t\\.co)?|.{0,30}",
            source in ".{0,12}",
            medium in "cpc|email|.{0,12}",
            ad_click in prop::option::of(prop::sample::select(vec![AdClick::Search, AdClick::Social, AdClick::Other])),
        ) {
            let campaign = Campaign { source, medium, ad_click, ..Default::default() };
            let found = attribute(&host, &campaign);
            let nothing = host.is_empty() && campaign == Campaign::default();
            prop_assert_eq!(found.channel == Channel::Direct, nothing);
            prop_assert_eq!(attribute(&host, &campaign), found);
        }
    }
}
