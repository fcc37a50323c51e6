// Draws /openapi.json. Texts are only ever set as text.
"use strict";

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

let schemas = {};

function resolved(schema) {
  const name = schema.$ref && schema.$ref.split("/").pop();
  return name ? schemas[name] || {} : schema;
}

// A schema in a few words.
function words(schema) {
  if (!schema) return "";
  if (schema.$ref) {
    const whole = words(resolved(schema));
    return /object|any/.test(whole) ? schema.$ref.split("/").pop() : whole;
  }
  const several = schema.oneOf || schema.anyOf;
  if (several) return several.map(words).filter((word) => word !== "null").join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  const type = [].concat(schema.type || "any").filter((type) => type !== "null").join(" or ");
  if (schema.type && [].concat(schema.type).includes("array")) return "list of " + words(schema.items);
  const { minimum, maximum } = schema;
  const range = minimum === undefined ? "" : maximum === undefined ? ` from ${minimum}` : ` ${minimum} to ${maximum}`;
  return type + range;
}

function fields(schema) {
  const table = element("table", "", element("tr", "", element("th", "field"), element("th", "type"), element("th", "meaning")));
  const required = schema.required || [];
  for (const [name, field] of Object.entries(schema.properties || {})) {
    const first = element("td", "", element("code", name));
    if (required.includes(name)) first.append(" (needed)");
    table.append(element("tr", "", first, element("td", words(field)), element("td", field.description || "")));
  }
  const frame = element("div", "", table);
  frame.className = "scroll";
  return frame;
}

function operation(path, method, about) {
  const title = element("summary", "", element("code", `${method.toUpperCase()} ${path}`), " " + (about.summary || ""));
  const drawn = element("details", "", title);
  const content = about.requestBody && about.requestBody.content["application/json"];
  if (content) drawn.append(fields(resolved(content.schema)));
  for (const [status, answer] of Object.entries(about.responses || {})) {
    drawn.append(element("p", `${status}: ${answer.description || "an error: {error: {message, type, param, code}}"}`));
  }
  return drawn;
}

async function draw() {
  const about = document.getElementById("about");
  try {
    const description = await (await fetch("/openapi.json")).json();
    schemas = description.components.schemas;
    about.textContent = description.info.description;
    const paths = document.getElementById("paths");
    for (const tag of description.tags) {
      paths.append(element("h2", tag.name));
      for (const [path, methods] of Object.entries(description.paths)) {
        for (const [method, one] of Object.entries(methods)) {
          if ((one.tags || []).includes(tag.name)) paths.append(operation(path, method, one));
        }
      }
    }
  } catch (error) {
    about.textContent = "The description could not be read: " + error;
  }
}

draw();
