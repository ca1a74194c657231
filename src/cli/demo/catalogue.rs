//! What the sample shop sells, and what its customers and their browsers are called.

/// Something to buy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Product {
    /// Stock keeping unit.
    pub(super) sku: &'static str,
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    /// Price in cents.
    pub(super) cents: i64,
}

const fn product(sku: &'static str, name: &'static str, category: &'static str, cents: i64) -> Product {
    Product { sku, name, category, cents }
}

/// All there is to buy.
pub(super) const PRODUCTS: [Product; 16] = [
    product("OUT-1001", "Three-season tent", "outdoor", 24_990),
    product("OUT-1002", "Down sleeping bag", "outdoor", 18_950),
    product("OUT-1003", "Titanium mug", "outdoor", 2_490),
    product("OUT-1004", "Head torch", "outdoor", 4_495),
    product("BIK-2001", "Touring panniers", "cycling", 12_990),
    product("BIK-2002", "Dynamo light set", "cycling", 8_990),
    product("BIK-2003", "Mini pump", "cycling", 2_950),
    product("BIK-2004", "Merino jersey", "cycling", 9_450),
    product("KIT-3001", "Cast-iron pan", "kitchen", 5_990),
    product("KIT-3002", "Chef's knife", "kitchen", 11_900),
    product("KIT-3003", "Hand grinder", "kitchen", 9_890),
    product("KIT-3004", "Pour-over kettle", "kitchen", 6_490),
    product("BOO-4001", "Atlas of long walks", "books", 3_990),
    product("BOO-4002", "Bread for beginners", "books", 2_690),
    product("BOO-4003", "Repair your bicycle", "books", 2_290),
    product("BOO-4004", "Stars of the north", "books", 3_450),
];

/// First names.
pub(super) const FIRST_NAMES: [&str; 16] = [
    "Anna", "Bruno", "Clara", "Dario", "Elif", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Katja", "Luca", "Mira",
    "Nils", "Olga", "Paul",
];

/// Family names.
pub(super) const LAST_NAMES: [&str; 12] = [
    "Albrecht", "Bernard", "Castro", "Dubois", "Eriksen", "Fischer", "Gruber", "Horvat", "Jansen", "Kowalski",
    "Moreau", "Novak",
];

/// Countries, the more frequent ones more often, each with its language.
pub(super) const COUNTRIES: [(&str, &str); 10] = [
    ("DE", "de-DE"),
    ("DE", "de-DE"),
    ("DE", "de-DE"),
    ("FR", "fr-FR"),
    ("FR", "fr-FR"),
    ("AT", "de-AT"),
    ("NL", "nl-NL"),
    ("PL", "pl-PL"),
    ("IT", "it-IT"),
    ("SE", "sv-SE"),
];

/// What browsers call themselves.
pub(super) const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
];

/// Where visitors come from.
pub(super) const REFERRERS: [&str; 4] =
    ["", "https://search.example/", "https://news.example/gift-ideas", "https://mail.example/"];
