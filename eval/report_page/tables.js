// The overview: tables, pictures, configuration.

const OPEN_TABLES = 5;

function tableOf(table) {
  if (table.rows.length === 0 && table.if_empty !== "") {
    return make("p", {}, table.if_empty);
  }
  const head = make("tr", {}, ...table.header.map((name) => make("th", { scope: "col" }, name)));
  const rows = table.rows.map((row) =>
    make("tr", {}, ...row.map((text, place) => make(place === 0 ? "th" : "td", place === 0 ? { scope: "row" } : {}, text))),
  );
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function fillOverview() {
  const overview = byId("overview");
  data.tables.forEach((table, place) => {
    const fill = () => [tableOf(table), table.note !== "" && table.rows.length > 0 ? make("p", {}, table.note) : null];
    const heading = make("strong", {}, table.title);
    overview.append(make("p", {}), lazyDetails([heading], fill, {}, place < OPEN_TABLES));
    if (place === 0) {
      overview.append(make("div", { class: "pictures" }, ...data.pictures.map(pictureOf)));
    }
  });
  const configuration = make("strong", {}, "Configuration");
  overview.append(make("p", {}), lazyDetails([configuration], () => [textBlock(data.configuration)], {}));
}

function pictureOf(picture) {
  const image = make("img", { src: picture.source, alt: picture.caption, loading: "lazy" });
  return make("figure", {}, image, make("figcaption", {}, picture.caption));
}
