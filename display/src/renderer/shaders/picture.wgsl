// A guest's picture on a screen. Textures and targets are sRGB, so all that is reckoned here is light.

struct Look {
    // The picture's upper left corner, in pixels of the screen.
    origin: vec2<f32>,
    // Pixels of the guest to one of the screen.
    step: vec2<f32>,
    // The guest's last column and row.
    last: vec2<i32>,
}

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<uniform> look: Look;

// One triangle that covers the whole screen: (-1, -1), (3, -1), (-1, 3).
@vertex
fn everywhere(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    return vec4(f32((index & 1u) * 4u) - 1.0, f32((index & 2u) * 2u) - 1.0, 0.0, 1.0);
}

fn guest_pixel(column: i32, row: i32) -> vec3<f32> {
    return textureLoad(picture, clamp(vec2(column, row), vec2(0), look.last), 0).rgb;
}

// The guest's pixel below the middle of the screen's.
@fragment
fn nearest(@builtin(position) middle: vec4<f32>) -> @location(0) vec4<f32> {
    let at = vec2<i32>(floor((middle.xy - look.origin) * look.step));
    return vec4(guest_pixel(at.x, at.y), 1.0);
}

// The mean of what lies beneath the screen's pixel, each of the guest's by its share of the area.
@fragment
fn mean(@builtin(position) middle: vec4<f32>) -> @location(0) vec4<f32> {
    let start = (middle.xy - 0.5 - look.origin) * look.step;
    let end = start + look.step;
    let first = vec2<i32>(floor(start));
    let last = vec2<i32>(ceil(end)) - 1;
    var sum = vec3(0.0);
    for (var row = first.y; row <= last.y; row++) {
        let height = min(end.y, f32(row + 1)) - max(start.y, f32(row));
        for (var column = first.x; column <= last.x; column++) {
            let width = min(end.x, f32(column + 1)) - max(start.x, f32(column));
            sum += guest_pixel(column, row) * width * height;
        }
    }
    return vec4(sum / (look.step.x * look.step.y), 1.0);
}

// The picture tube.

const PI: f32 = 3.14159265;
// How far the light of a spot reaches to the sides, in the guest's pixels. With 1 the spots of a white line add up to white.
const SPOT: f32 = 1.0;
// How far the light of a line reaches up and down, in the guest's rows: that of a black one, and that of a white one.
const DARK_LINE: f32 = 0.55;
const BRIGHT_LINE: f32 = 0.85;
// What passes through a stripe of the phosphor that is meant for another colour.
const OTHER_STRIPE: f32 = 0.75;

// A beam's light falls off to its sides as a raised cosine, (1 + cos(π d / reach)) / (2 reach): this is its integral from the
// middle to `distance`, -0.5 to 0.5.
fn light_up_to(distance: f32, reach: vec3<f32>) -> vec3<f32> {
    let inside = clamp(vec3(distance), -reach, reach);
    return (inside + reach / PI * sin(inside * PI / reach)) / (2.0 * reach);
}

// The beam's light in a row, between two columns.
fn row_light(row: i32, start: f32, end: f32) -> vec3<f32> {
    var sum = vec3(0.0);
    let last = i32(floor(end - 0.5 + SPOT));
    for (var column = i32(ceil(start - 0.5 - SPOT)); column <= last; column++) {
        let spot = f32(column) + 0.5;
        let share = light_up_to(end - spot, vec3(SPOT)).x - light_up_to(start - spot, vec3(SPOT)).x;
        sum += guest_pixel(column, row) * share;
    }
    return sum / (end - start);
}

@fragment
fn tube(@builtin(position) middle: vec4<f32>) -> @location(0) vec4<f32> {
    let start = (middle.xy - 0.5 - look.origin) * look.step;
    let end = start + look.step;
    var sum = vec3(0.0);
    // No beam draws above the first row or below the last.
    let last = min(i32(floor(end.y - 0.5 + BRIGHT_LINE)), look.last.y);
    for (var row = max(i32(ceil(start.y - 0.5 - BRIGHT_LINE)), 0); row <= last; row++) {
        let light = row_light(row, start.x, end.x);
        let reach = mix(vec3(DARK_LINE), vec3(BRIGHT_LINE), sqrt(light));
        let line = f32(row) + 0.5;
        sum += light * (light_up_to(end.y - line, reach) - light_up_to(start.y - line, reach));
    }
    let stripe = u32(middle.x) % 3u;
    let phosphor = select(vec3(OTHER_STRIPE), vec3(1.0), vec3(0u, 1u, 2u) == vec3(stripe));
    return vec4(min(sum / look.step.y * phosphor, vec3(1.0)), 1.0);
}
